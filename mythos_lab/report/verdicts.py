"""The figure of verdicts: differences with their intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from mythos_lab.report.plotting import drawn, literal


def verdict_figure(
    intervals: Mapping[str, tuple[float, float, float]], matters: float, metric: str, against: str, path: Path
) -> Path:
    """Draw each arm's difference from the first, with its interval and the band that does not matter.

    Args:
        intervals: Difference and both ends by arm.
        matters: Half the width of the band.
        metric: What differs.
        against: The first arm.
        path: Where to write.
    """
    with drawn(path, 6.4, 1.2 + 0.35 * len(intervals)) as axes:
        axes.axvspan(-matters, matters, color="0.9", label=f"does not matter (±{matters:g})")
        axes.axvline(0, color="0.5", linewidth=0.8)
        ends = [end for interval in intervals.values() for end in (*interval, matters) if math.isfinite(end)]
        edge = 1.1 * max(map(abs, ends)) or 1.0
        for y, (difference, low, high) in enumerate(reversed(list(intervals.values()))):
            # What is not known to end reaches both edges.
            axes.plot([max(low, -edge), min(high, edge)], [y, y], color="C0", linewidth=2)
            axes.plot(difference, y, "o", color="C0")
        axes.set_xlim(-edge, edge)
        axes.set_yticks(range(len(intervals)), [literal(arm) for arm in reversed(list(intervals))])
        axes.set(ylim=(-0.6, len(intervals) - 0.4), xlabel=literal(f"{metric}, difference from {against}"))
        axes.legend(frameon=False, fontsize="small")
    return path
