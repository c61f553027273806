"""What the loops of several arms do: what every measure came to, each quantity by loop over each other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from mythos_lab.comparison.cells import mean
from mythos_lab.comparison.reporting.common import arms_table
from mythos_lab.comparison.reporting.depth_sections import mean_line
from mythos_lab.comparison.reporting.measure_sections import (
    HALTING,
    KEPT_OUT,
    STABILITY,
    VERDICT,
    halts,
    is_of,
    slug,
    unit_name,
)
from mythos_lab.comparison.reporting.recorded import Depth, Recorded, Taken
from mythos_lab.metrics import METRICS
from mythos_lab.report.page import Curves, Figure, Section, Series, Tabled
from mythos_lab.report.page.drawing import drawn_at_most
from mythos_lab.report.page.page import Part
from mythos_lab.report.table import Table, name, nothing, number, prose

Runs = Mapping[str, Sequence[Recorded]]

_LOOPS = ("loops/used", "loops/distinct", "loops/gain", "loops/useful_depth", "loops/overthinking")
_MOST_ROWS = 2000  # of a table of what measures came to


def loops_section(arms: Runs) -> Section:
    """The loop verdict of each run, and every measure that is of neither stability nor halting."""
    if not arms:
        return Section("What the loops do", [])
    parts = _numbers(arms, "loops", _LOOPS)
    rows = [
        [arm, run.recipe.seed, each.finding]
        for arm, runs in arms.items()
        for run in runs
        for each in run.measures
        if each.kind == VERDICT
    ]
    if rows:
        parts.append(Tabled("loop_verdicts", Table([name("arm"), number("seed"), prose("said", "loop verdict")], rows)))
    else:
        parts.append("The loop verdict was taken of none of these runs; `mythos measure` takes it.")
    parts += _knockouts(arms)
    for kind, taken in _by_kind(arms).items():
        if kind not in (VERDICT, KEPT_OUT) and not _of_group(taken, (*STABILITY, *HALTING)):
            parts += measured_arms(kind, taken)
    return Section("What the loops do", parts)


def stability_section(arms: Runs) -> Section:
    """Radii, exponents and regimes of each arm."""
    parts = [*_numbers(arms, "stability", _named(arms, "stability/")), *_of(arms, STABILITY)]
    return Section("Stability", parts or (["Nothing of their stability was measured."] if arms else []))


def halting_section(arms: Runs) -> Section:
    """When positions of each arm stop; nothing where none can."""
    halting = {arm: runs for arm, runs in arms.items() if any(map(halts, runs))}
    if not halting:
        return Section(
            "Halting", ["Nothing halts in these models: every position runs all iterations."] if arms else []
        )
    lines = [line for arm, runs in halting.items() if (line := _histogram(arm, runs)).x]
    parts: list[Part] = []
    if lines:
        caption = f"Share of positions by the iterations that they run before halting{drawn_at_most(lines)}."
        chart = Curves("iterations before halting", "share of positions", lines, is_loops=False, is_share=True)
        parts.append(Figure("halting", caption, chart))
    parts += [*_numbers(arms, "halting", _named(arms, "halting/")), *_of(halting, HALTING)]
    return Section("Halting", parts)


def measured_arms(kind: str, taken: Mapping[str, Sequence[Taken]]) -> Iterator[Part]:
    """A chart for each quantity by loop with a line an arm, and a table of all else.

    Args:
        kind: The measure.
        taken: What it came to, by arm and seed.
    """
    curves: dict[tuple[str, str], dict[str, list[Depth]]] = {}
    rest: dict[tuple[str, str, int | None], dict[str, list[float]]] = {}
    for arm, each in taken.items():
        for one in each:
            lines, others = _parted(one)
            for key, values in lines.items():
                curves.setdefault(key, {}).setdefault(arm, []).append(_depth(values))
            for v in others:
                at = rest.setdefault((v["quantity"], v["of"], v.get("loop")), {})
                at.setdefault(arm, []).append(v["value"])
    for (quantity, unit), arms in curves.items():
        drawn = [line for arm, depths in arms.items() if (line := mean_line(arm, depths)).x]
        if not drawn:
            continue
        is_share = unit == "share" and min(y for each in drawn for y in each.y) >= 0
        chart = Curves("loop", unit_name(unit), drawn, is_share=is_share)
        caption = f"{kind}: {quantity.rpartition('/')[2]} by loop{drawn_at_most(drawn)}."
        yield Figure(slug(quantity), caption, chart, is_small=True)
    if rest:
        yield Tabled(slug(kind), _table(kind, rest), is_folded=True)


def _parted(taken: Taken) -> tuple[dict[tuple[str, str], list[dict[str, Any]]], list[dict[str, Any]]]:
    """The values of quantities that have one at each of several loops, by quantity and unit; and all others."""
    lines: dict[tuple[str, str], list[dict[str, Any]]] = {}
    others = []
    for value in taken.values:
        if "loop" in value and not value["of"]:
            lines.setdefault((value["quantity"], value["unit"]), []).append(value)
        else:
            others.append(value)
    few = [line for line, values in lines.items() if len(values) < 2]
    return lines, others + [value for line in few for value in lines.pop(line)]


def _table(kind: str, rest: Mapping[tuple[str, str, int | None], Mapping[str, Sequence[float]]]) -> Table:
    columns = [name("quantity"), name("of"), name("loop"), name("arm"), number("seeds"), number("value", "mean")]
    rows = [
        [quantity, of, nothing() if loop is None else loop, arm, len(known), mean(known)]
        for (quantity, of, loop), arms in rest.items()
        for arm, values in arms.items()
        if (known := [v for v in values if math.isfinite(v)])
    ][:_MOST_ROWS]
    return Table(columns, rows, kind)


def _of(arms: Runs, groups: Sequence[str]) -> list[Part]:
    found = {kind: taken for kind, taken in _by_kind(arms).items() if _of_group(taken, groups)}
    return list(chain.from_iterable(measured_arms(kind, taken) for kind, taken in found.items()))


def _by_kind(arms: Runs) -> dict[str, dict[str, list[Taken]]]:
    found: dict[str, dict[str, list[Taken]]] = {}
    for arm, runs in arms.items():
        for run in runs:
            for each in run.measures:
                found.setdefault(each.kind, {}).setdefault(arm, []).append(each)
    return found


def _of_group(taken: Mapping[str, Sequence[Taken]], groups: Sequence[str]) -> bool:
    return any(is_of(each, groups) for every in taken.values() for each in every)


def _depth(values: Sequence[Mapping[str, Any]]) -> Depth:
    at = {value["loop"]: value for value in values}
    ordered = [at[loop] for loop in sorted(at)]
    return Depth(
        [each["loop"] for each in ordered], "", [each["value"] for each in ordered],
        [each.get("low") for each in ordered], [each.get("high") for each in ordered],
    )  # fmt: skip


def _knockouts(arms: Runs) -> list[Part]:
    return _numbers(arms, "knockouts", _named(arms, "knockout/"), "Quality lost without a component")


def _numbers(arms: Runs, key: str, metrics: Sequence[str], title: str = "") -> list[Part]:
    table = arms_table(arms, metrics, title)
    return [Tabled(key, table)] if len(table.columns) > 2 else []


def _named(arms: Runs, prefix: str) -> list[str]:
    """The metrics of a group that any run has, and that mean something."""
    there = {metric for runs in arms.values() for run in runs for metric in run.metrics if metric.startswith(prefix)}
    return sorted(metric for metric in there if metric in METRICS)


def _histogram(arm: str, runs: Sequence[Recorded]) -> Series:
    longest = max(len(run.histogram) for run in runs)
    counts = list(range(1, longest + 1))
    padded = [[*run.histogram, *[0.0] * (longest - len(run.histogram))] for run in runs if run.histogram]
    ends: list[float | None] = [None] * longest
    return mean_line(arm, [Depth(counts, "", each, ends, ends) for each in padded]) if padded else Series(arm, [], [])
