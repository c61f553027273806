"""Figures of what a model's loops do."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

from mythos_lab.measures.depth import DepthCurve  # noqa: E402
from mythos_lab.measures.evaluate import Scores  # noqa: E402


def depth_figure(curve: DepthCurve, path: Path) -> Path:
    """Quality against the number of loops, one line for each difficulty; writes a PNG and returns its path."""
    figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
    counts = list(curve.scores)
    accuracy = curve.quality_name == "accuracy"
    levels = sorted({level for scores in curve.scores.values() for level in scores.by_difficulty}) if accuracy else []
    for level in levels:
        axes.plot(
            counts,
            [curve.scores[n].by_difficulty[level] for n in counts],
            "o-",
            label=f"{level} {curve.difficulty_name}",
        )
    if not levels:
        axes.plot(counts, [curve.scores[n].accuracy if accuracy else curve.scores[n].loss for n in counts], "o-")
    if accuracy and curve.chance is not None:
        axes.axhline(curve.chance, color="grey", linestyle=":", label="chance")
    axes.axvline(curve.eval_loops, color="grey", linewidth=0.8, linestyle="--", label="evaluated")
    axes.set(xscale="log", xlabel="loops", ylabel="accuracy" if accuracy else "loss (nats)")
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [str(n) for n in counts])
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path


def halting_figure(scores: Scores, path: Path) -> Path:
    """Share of positions by the iterations that they ran; writes a PNG and returns its path."""
    figure, axes = plt.subplots(figsize=(6.4, 3), layout="constrained")
    axes.bar(range(1, len(scores.histogram) + 1), scores.histogram)
    axes.set(xlabel="iterations before halting", ylabel="share of positions")
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path
