"""What measures say of each loop: a table with a column for each, and a figure."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mythos_blocks.declaring.registry import lookup
from mythos_lab.measures.base import Measure, Outcome, Value
from mythos_lab.measures.thinning import spread
from mythos_lab.report.plotting import drawn_panels, literal
from mythos_lab.report.table import Table, name, number

_MOST_COLUMNS = 9
_PANELS_IN_A_ROW = 3


def loops_table(outcome: Outcome, quantities: Iterable[str] = ()) -> Table | None:
    """The values of an outcome that are of a loop, a column a loop; ``None`` where there are none.

    Of many loops the first and the last are shown, and others between them.

    Args:
        outcome: What a measure came to.
        quantities: Those to show; none shows all.
    """
    wanted = set(quantities) or {value.quantity for value in outcome.values}
    values = [value for value in outcome.values if value.loop is not None and value.quantity in wanted]
    if not values:
        return None
    every = sorted({value.loop for value in values if value.loop is not None})
    loops = [every[place] for place in spread(len(every), _MOST_COLUMNS)]
    rows: dict[tuple[str, str], dict[int | None, float]] = {}
    for value in values:
        rows.setdefault((value.quantity, value.of), {})[value.loop] = value.value
    columns = (name("quantity"), name("of"), *(number(f"loop {t}", form=".3g") for t in loops))
    cells = [(*row, *(found.get(t, "") for t in loops)) for row, found in rows.items()]
    return Table(columns, cells, outcome.kind)


def loop_figures(outcomes: Iterable[Outcome], folder: Path) -> list[Path]:
    """A figure for every outcome that has values of loops, ``loops_<measure>.png``; returns their paths."""
    made = (loop_figure(outcome, folder / f"loops_{outcome.kind}.png") for outcome in outcomes)
    return [path for path in made if path is not None]


def loop_figure(outcome: Outcome, path: Path, quantities: Iterable[str] = ()) -> Path | None:
    """The values of an outcome against their loops, with intervals; ``None`` where none is of a loop.

    There is a panel for each quantity, and for what stands before the slash where ``of`` has one.
    """
    wanted = set(quantities) or {value.quantity for value in outcome.values}
    panels: dict[tuple[str, str], dict[str, list[Value]]] = {}
    for value in outcome.values:
        if value.loop is not None and value.quantity in wanted:
            place, _, line = value.of.rpartition("/")
            panels.setdefault((value.quantity, place), {}).setdefault(line, []).append(value)
    if not panels:
        return None
    made = lookup("measure", outcome.kind)
    assert issubclass(made, Measure)
    num_columns = min(_PANELS_IN_A_ROW, len(panels))
    num_rows = -(-len(panels) // num_columns)
    with drawn_panels(path, num_rows, num_columns, 4 * num_columns, 2.8 * num_rows) as every:
        for axes, ((quantity, place), lines) in zip(every, panels.items(), strict=False):
            unit = made.quantities[quantity].unit
            for label, values in lines.items():
                _line(axes, label, values)
            short = quantity.partition("/")[2]
            axes.set(xlabel="loop", ylabel=literal(unit), title=literal(f"{short}, {place}" if place else short))
            if unit == "rank":
                axes.set_yscale("log")
            if any(lines):
                axes.legend(frameon=False, fontsize="small")
        for axes in every[len(panels) :]:
            axes.set_axis_off()
    return path


def _line(axes: Any, label: str, values: list[Value]) -> None:
    values = sorted(values, key=lambda value: value.loop or 0)
    loops = [value.loop for value in values]
    (line,) = axes.plot(loops, [value.value for value in values], "o-", markersize=3, label=literal(label))
    between = [value.interval or (value.value, value.value) for value in values]
    low, high = zip(*between, strict=True)
    axes.fill_between(loops, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
