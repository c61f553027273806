"""Figures of what a model's loops do."""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

from mythos_lab.measures.depth_curve import DepthCurve  # noqa: E402
from mythos_lab.measures.evaluate import Scores  # noqa: E402
from mythos_lab.recipe.outputs import whole  # noqa: E402


def depth_figure(curve: DepthCurve, path: Path) -> Path:
    """Quality against the number of loops with its intervals, one line for each difficulty; returns the PNG's path."""
    figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
    counts = list(curve.scores)
    accuracy = curve.quality_name == "accuracy"
    levels = sorted({level for scores in curve.scores.values() for level in scores.by_difficulty}) if accuracy else []
    lines = {f"{n} {curve.task.difficulty_name}": [curve.scores[c].by_difficulty[n] for c in counts] for n in levels}
    for label, tallies in (lines or {"": [scores.tally for scores in curve.scores.values()]}).items():
        (line,) = axes.plot(counts, [t.accuracy if accuracy else t.loss for t in tallies], "o-", label=label)
        intervals = [t.accuracy_interval() if accuracy else t.loss_interval() for t in tallies]
        low, high = zip(*(interval or (math.nan, math.nan) for interval in intervals), strict=True)
        axes.fill_between(counts, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    if accuracy and curve.task.chance is not None:
        axes.axhline(curve.task.chance, color="grey", linestyle=":", label="chance")
    axes.axvline(curve.eval_loops, color="grey", linewidth=0.8, linestyle="--", label="evaluated")
    axes.set(xscale="log", xlabel="loops", ylabel="accuracy" if accuracy else "loss (nats)")
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [str(n) for n in counts])
    axes.legend(frameon=False)
    with whole(path) as partial:
        figure.savefig(partial, dpi=120, format="png")
    plt.close(figure)
    return path


def halting_figure(scores: Scores, path: Path) -> Path:
    """Share of positions by the iterations that they ran; writes a PNG and returns its path."""
    figure, axes = plt.subplots(figsize=(6.4, 3), layout="constrained")
    axes.bar(range(1, len(scores.histogram) + 1), scores.histogram)
    axes.set(xlabel="iterations before halting", ylabel="share of positions")
    with whole(path) as partial:
        figure.savefig(partial, dpi=120, format="png")
    plt.close(figure)
    return path
