"""What measures came to: any measure's, by its quantities, loops and sentence, known here or not."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from mythos_blocks.declaring.registry import slot_info
from mythos_lab.comparison.reporting.recorded import Recorded, Taken
from mythos_lab.measures.base import Measure
from mythos_lab.metrics import METRICS
from mythos_lab.report.page import Bars, Curves, Figure, Finding, Grid, Section, Series, Tabled
from mythos_lab.report.page.charts import MOST_SERIES, Chart, ends
from mythos_lab.report.page.page import Part
from mythos_lab.report.table import Table, name, nothing, number, prose

VERDICT = "loop_verdict"
"""The measure that answers what loops are worth."""

STABILITY, HALTING = ("stability", "loop_jacobian", "lyapunov"), ("halting",)
KEPT_OUT = "depth_curve"
"""What the page draws from the whole split."""

_MOST_LINES, _MOST_LOOPS, _MOST_MEANINGS = 24, 1000, 3


def verdict_section(run: Recorded) -> Section:
    """Used and distinct loops, and the word that shows it."""
    taken = [each for each in run.measures if each.kind == VERDICT]
    if not taken:
        return Section("Loop verdict", ["The loop verdict was not taken of this run; `mythos measure` takes it."])
    return Section("Loop verdict", [part for each in taken for part in measured(each)])


def stability_section(run: Recorded) -> Section:
    """Radii, exponents and regimes, of the trained model and its linear part."""
    parts: list[Part] = [part for each in run.measures if is_of(each, STABILITY) for part in measured(each)]
    known = _metrics(run, "stability/", {v["quantity"] for each in run.measures for v in each.values})
    if known:
        parts.append(Tabled("stability_metrics", known))
    if not parts:
        parts.append("Nothing of its stability was measured; `mythos measure` takes `loop_jacobian` and `lyapunov`.")
    return Section("Stability", parts)


def halting_section(run: Recorded) -> Section:
    """When positions stop, or that none does."""
    parts: list[Part] = [part for each in run.measures if is_of(each, HALTING) for part in measured(each)]
    if not halts(run):
        return Section("Halting", [*parts, "Nothing halts in this model: every position runs all iterations."])
    if run.histogram:
        bars = Bars("iterations before halting", "share of positions", range(1, len(run.histogram) + 1), run.histogram)
        parts.insert(0, Figure("halting", "Share of positions by the iterations that they run before halting.", bars))
    if known := _metrics(run, "halting/", set()):
        parts.append(Tabled("halting_metrics", known))
    return Section("Halting", parts)


def other_measures(run: Recorded) -> Section:
    """Every other measure, each by its sentence and what it came to by loop."""
    apart = (*STABILITY, *HALTING)
    taken = [e for e in run.measures if e.kind not in (VERDICT, KEPT_OUT) and not is_of(e, apart)]
    return Section("What the loops do", [part for each in taken for part in measured(each)])


def knockouts(run: Recorded) -> dict[str, tuple[float, float | None, float | None]]:
    """Quality lost without each component that was knocked out, with its interval."""
    found = {metric: value for metric, value in run.metrics.items() if metric.startswith("knockout/")}
    return {
        metric.removeprefix("knockout/"): (value, *run.intervals.get(metric, (None, None)))
        for metric, value in found.items()
        if math.isfinite(value)
    }


def halts(run: Recorded) -> bool:
    """Whether the recipe's model has a rule by which positions stop."""
    core = run.recipe.model_dump(mode="json")["model"].get("core", {})
    rules = [core.get(slot, {}).get("kind", "none") for slot in ("halting", "exit") if isinstance(core.get(slot), dict)]
    return any(rule != "none" for rule in rules)


def measured(taken: Taken) -> Iterator[Part]:
    """A measure's sentence, a chart for each unit that it has by loop, and a table of all else."""
    if taken.finding:
        yield Finding(taken.kind, taken.finding)
    by_loop = [value for value in taken.values if "loop" in value]
    scalars = [value for value in taken.values if "loop" not in value]
    for unit, group in groupby(sorted(by_loop, key=_unit), key=_unit):
        values = list(group)
        lines = _by_line(values)
        if not 1 < len({value["loop"] for value in values}) <= _MOST_LOOPS:
            scalars += values
            continue
        yield Figure(
            slug(f"{taken.kind}_{unit}"),
            _caption(taken.kind, values, unit),
            _chart(lines, unit),
            is_small=len(lines) <= MOST_SERIES,
        )
    if scalars:
        yield Tabled(slug(taken.kind), _table(scalars, taken.kind), is_folded=bool(taken.finding))


def slug(text: str) -> str:
    """A text as the name of a file."""
    return re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_")[:60].lower() or "measure"


def _caption(kind: str, values: Sequence[dict[str, Any]], unit: str) -> str:
    """What the quantities mean where the measure is known here; else their names."""
    quantities = list(dict.fromkeys(value["quantity"] for value in values))
    made = slot_info("measure").kinds.get(kind)
    declared = made.quantities if made is not None and issubclass(made, Measure) else {}
    meanings = [declared[quantity].meaning for quantity in quantities if quantity in declared]
    if len(meanings) == len(quantities) <= _MOST_MEANINGS:
        return " ".join(
            f"{_brief(quantity)}: {meaning}" for quantity, meaning in zip(quantities, meanings, strict=True)
        )
    names = ", ".join(map(_brief, quantities))
    return f"{names[:1].upper()}{names[1:]} by loop{_in(unit)}."


def _chart(lines: Mapping[str, Sequence[dict[str, Any]]], unit: str) -> Chart:
    """A line for each quantity and what it is of; where they are many, a row each."""
    if len(lines) > MOST_SERIES:
        loops = sorted({value["loop"] for values in lines.values() for value in values})
        at = {label: {value["loop"]: value["value"] for value in values} for label, values in lines.items()}
        rows = list(lines)[:_MOST_LINES]
        shades = [[at[label].get(loop) for loop in loops] for label in rows]
        known = [value for row in shades for value in row if value is not None and math.isfinite(value)]
        low, high = min(known, default=0.0), max(known, default=1.0)
        return Grid("of", "loop", unit, rows, [str(loop) for loop in loops], shades, low, high)
    series = []
    for label, values in lines.items():
        ordered = sorted(values, key=lambda value: value["loop"])
        series.append(
            Series(
                label,
                [value["loop"] for value in ordered],
                [value["value"] for value in ordered],
                [value.get("low") for value in ordered],
                [value.get("high") for value in ordered],
            )
        )
    lowest = min((y for each in series for y in each.y), default=0.0)
    return Curves("loop", unit_name(unit), series, is_share=unit == "share" and lowest >= 0)


def _by_line(values: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Values by the label of the line that they are on, one value a loop."""
    quantities = {value["quantity"] for value in values}
    lines: dict[str, dict[int, dict[str, Any]]] = {}
    for value in values:
        of = value["of"]
        label = of if of and len(quantities) == 1 else " ".join(filter(None, (_brief(value["quantity"]), of)))
        lines.setdefault(label, {})[value["loop"]] = value
    return {label: list(at.values()) for label, at in lines.items()}


def _table(values: Sequence[dict[str, Any]], title: str) -> Table:
    """Numbers under the columns that any of them has something in."""
    columns = [name("quantity"), name("of"), name("loop"), number("value"), number("interval", "95 % interval")]
    columns += [name("unit"), prose("note")]
    rows = [
        [
            value["quantity"],
            value["of"],
            value.get("loop", nothing()),
            value["value"] if math.isfinite(value["value"]) else nothing(),
            ends(value.get("low"), value.get("high")),
            "" if value["unit"] == "1" else value["unit"],
            value["note"],
        ]
        for value in values
    ]
    texts = Table(columns, rows).texts()
    kept = [i for i in range(len(columns)) if any(row[i] for row in texts)]
    return Table([columns[i] for i in kept], [[row[i] for i in kept] for row in rows], title)


def _metrics(run: Recorded, prefix: str, but: set[str]) -> Table | None:
    names = [metric for metric in run.metrics if metric.startswith(prefix) and metric not in but]
    rows = [
        [metric, run.metrics[metric], ends(*run.intervals.get(metric, (None, None))), METRICS[metric].meaning]
        for metric in names
        if metric in METRICS
    ]
    if not rows:
        return None
    return Table([name("metric"), number("value"), number("interval", "95 % interval"), prose("meaning")], rows)


def is_of(taken: Taken, groups: Sequence[str]) -> bool:
    """Whether a measure is of a group, by its own name or what its quantities are named after."""
    named = {value["quantity"].partition("/")[0] for value in taken.values} | {taken.kind, taken.kind.partition("_")[0]}
    return any(group in named for group in groups)


def _unit(value: Mapping[str, Any]) -> str:
    return str(value["unit"])


def unit_name(unit: str) -> str:
    """A unit as an axis names it."""
    return "value" if unit in ("1", "") else unit


def _in(unit: str) -> str:
    return "" if unit in ("1", "share", "") else f", in {unit}"


def _brief(quantity: str) -> str:
    return quantity.rpartition("/")[2]
