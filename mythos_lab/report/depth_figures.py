"""Figures of what a model's loops do."""

from __future__ import annotations

import math
from pathlib import Path

from mythos_lab.measures.depth_curve import DepthCurve
from mythos_lab.measures.evaluate import Scores
from mythos_lab.report.plotting import drawn, literal


def depth_figure(curve: DepthCurve, path: Path) -> Path:
    """Quality against the number of loops with its intervals, one line for each difficulty; returns the PNG's path."""
    counts = list(curve.scores)
    accuracy = curve.quality_name == "accuracy"
    levels = sorted({level for scores in curve.scores.values() for level in scores.by_difficulty}) if accuracy else []
    name = literal(str(curve.task.difficulty_name))
    lines = {f"{n} {name}": [curve.scores[c].by_difficulty[n] for c in counts] for n in levels}
    with drawn(path, 6.4, 4) as axes:
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
    return path


def halting_figure(scores: Scores, path: Path) -> Path | None:
    """Share of positions by the iterations that they ran; the PNG's path, ``None`` where all ran the same number."""
    if sum(share > 0 for share in scores.histogram) < 2:
        return None
    with drawn(path, 6.4, 3) as axes:
        axes.bar(range(1, len(scores.histogram) + 1), scores.histogram)
        axes.set(xlabel="iterations before halting", ylabel="share of positions")
    return path
