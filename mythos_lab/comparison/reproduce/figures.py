"""Figures of a system's page."""

from __future__ import annotations

from pathlib import Path

from mythos_lab.comparison.reproduce.protocol import Shown
from mythos_lab.comparison.reproduce.record import Record
from mythos_lab.report.heat_map import heat_map
from mythos_lab.report.plotting import drawn, literal


def curve_figure(shown: Shown, arms: list[str], record: Record, path: Path) -> Path:
    """A line an arm over the loops at evaluation: the mean over seeds, and all seeds between the edges of its shade."""
    with drawn(path, 6.4, 3.8) as axes:
        for arm in arms:
            points = []
            for head, read in shown.readings().items():
                if values := record.shown(arm, read):
                    points.append((int(head), sum(values) / len(values), min(values), max(values)))
            if points:
                loops, means, lows, highs = zip(*points, strict=True)
                (line,) = axes.plot(loops, means, "o-", markersize=3, label=literal(arm))
                axes.fill_between(loops, lows, highs, color=line.get_color(), alpha=0.15, linewidth=0)
        axes.set_xscale("log", base=2)
        axes.set_xticks(shown.loops, [str(n) for n in shown.loops])
        axes.set(xlabel="loops at evaluation", ylabel=literal(shown.curve or ""))
        axes.legend(frameon=False, fontsize="small")
    return path


def grid_figure(shown: Shown, arm: str, record: Record, path: Path) -> Path:
    """The accuracy of one arm: a row a difficulty, a column a loop count, framed where both are one number."""
    down = {int(row.rpartition("=")[2]): row for row in shown.rows}
    cells = {}
    for level, row in down.items():
        for head, read in shown.readings(row).items():
            if values := record.shown(arm, read):
                value = sum(values) / len(values)
                cells[level, int(head)] = (value, f"{value:.2f}")
    title = f"{arm}, accuracy"
    label = shown.rows[0].partition("=")[0]
    return heat_map(
        cells, list(down), shown.loops, rows=label, columns="loops", title=title, higher_is_better=True, path=path
    )
