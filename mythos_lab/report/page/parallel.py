"""Parallel coordinates: axes that lie, one below the other, so that names and values have room on a narrow page too."""

from __future__ import annotations

import math
from typing import Any

from mythos_lab.report.page.charts import Axis, Parallel
from mythos_lab.report.page.labels import label
from mythos_lab.report.page.palette import MUTED, RULE, SERIES

MOST_LINES = 200
"""Lines that are drawn, those that stand out first; all are in the table."""

_MOST_LEVELS = 6  # that are named at an axis; of more, the first and the last
_LONGEST = 14  # characters of a value


def height(chart: Parallel) -> float:
    """Inches."""
    return 0.6 + 0.46 * len(chart.axes)


def draw_parallel(chart: Parallel, axes: Any) -> list[str]:
    """Draw on axes; returns the names of the coordinates, from the first, which is above, to the last."""
    places = [axis.places() for axis in chart.axes]
    order = sorted(range(len(chart.labels)), key=lambda i: not chart.stands_out[i])[:MOST_LINES]
    named = set()
    for i in reversed(order):  # what stands out lies above
        out = chart.stands_out[i]
        meaning = label(chart.meaning if out else chart.others)
        passed = [y for y, place in enumerate(places) if math.isfinite(place[i])]  # a field that it has not is no gap
        axes.plot(
            [places[y][i] for y in passed], passed, "-o" if out else "-", markersize=2.5, linewidth=1.4 if out else 0.6,
            color=SERIES[0].light if out else MUTED.light, alpha=1.0 if out else 0.45,
            label=None if meaning in named else meaning,
        )  # fmt: skip
        named.add(meaning)
    for y, axis in enumerate(chart.axes):
        axes.plot([0, 1], [y, y], color=RULE.light, linewidth=1, zorder=0)
        for place, text, side in _ends(axis):
            axes.annotate(text, (place, y), (0, 3.5), textcoords="offset points", ha=side, va="bottom", fontsize=7)
    axes.set(xlim=(-0.02, 1.02), ylim=(len(chart.axes) - 0.7, -0.75))
    axes.set_xticks([])
    axes.grid(False)
    axes.tick_params(length=0)
    for edge in axes.spines.values():
        edge.set_visible(False)
    return [axis.name for axis in chart.axes]


def _ends(axis: Axis) -> list[tuple[float, str, str]]:
    """Where a value of the axis is written, what it is, and to which side of its place it is set."""
    if axis.levels:
        last = len(axis.levels) - 1
        shown = range(last + 1) if last < _MOST_LEVELS else (0, last)
        return [
            (
                i / max(1, last),
                label(axis.levels[i], _LONGEST),
                "left" if i == 0 else "right" if i == last else "center",
            )
            for i in shown
        ]
    known = [float(v) for v in axis.values if v is not None and math.isfinite(float(v))]
    if not known:
        return []
    low, high = min(known), max(known)
    if low == high:
        return [(0.5, f"{low:.3g}", "center")]
    return [(0.0, f"{low:.3g}", "left"), (1.0, f"{high:.3g}", "right")]
