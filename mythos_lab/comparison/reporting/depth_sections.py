"""Depth curves and the frontier."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from mythos_lab.comparison.reporting.recorded import Depth, Recorded
from mythos_lab.comparison.verdict import half_width
from mythos_lab.report.page import Curves, Figure, Grid, Section, Series
from mythos_lab.report.page.drawing import drawn_at_most


def depth_section(run: Recorded) -> Section:
    """The depth curve of one run, in distribution and out of it, and its frontier."""
    if run.curve is None:
        return Section("Depth curve", [f"There is no depth curve: the run is {run.status}."])
    lines = [_line("validation", run.curve)]
    if run.beyond is not None and run.beyond.quality == run.curve.quality:
        lines.append(_line("out of distribution", run.beyond))
    at = "" if run.eval_loops is None else f" Training ends in an evaluation at {run.eval_loops} loops."
    caption = f"{run.curve.quality.capitalize()} against the number of loops, with 95 % intervals over samples.{at}"
    parts = [Figure("depth_curve", caption, _curves(lines, run.curve, run))]
    return Section("Depth curve", [*parts, *frontier(run)])


def frontier(run: Recorded) -> list[Figure]:
    """Accuracy by difficulty and loops; nothing of tasks without a difficulty."""
    assert run.curve is not None
    rows = {f"{level}": values for level, values in sorted(run.curve.levels.items())}
    beyond = run.beyond.levels if run.beyond is not None and run.beyond.counts == run.curve.counts else {}
    rows |= {f"{level}, unseen": values for level, values in sorted(beyond.items()) if f"{level}" not in rows}
    if len(rows) < 2:
        return []
    name = run.curve.level_name or "difficulty"
    grid = Grid(
        name,
        "loops",
        "accuracy",
        list(rows),
        [str(n) for n in run.curve.counts],
        list(rows.values()),
        low=_lowest(rows),
    )
    unseen = f" Rows marked unseen lie beyond the {name} of training." if beyond else ""
    return [Figure("frontier", f"The frontier: accuracy by {name} and loops.{unseen}", grid)]


def _lowest(rows: Mapping[str, Sequence[float | None]]) -> float:
    known = [value for values in rows.values() for value in values if value is not None and math.isfinite(value)]
    return min(known, default=0.0) if min(known, default=0.0) < max(known, default=1.0) else 0.0


def overlay(arms: Mapping[str, Sequence[Recorded]]) -> Section:
    """The depth curves of several runs or arms over each other."""
    found = {arm: curves for arm, runs in arms.items() if (curves := [r.curve for r in runs if r.curve is not None])}
    if not found:
        return Section("Depth curves", ["There are no depth curves: no run is finished."])
    first = next(iter(found.values()))[0]
    alike = {arm: curves for arm, curves in found.items() if all(c.quality == first.quality for c in curves)}
    if len(alike) < len(found):
        return Section("Depth curves", ["Depth curves are not drawn together: they are of different qualities."])
    lines = [mean_line(arm, curves) for arm, curves in alike.items()]
    seeds = max(map(len, alike.values()))
    bands = "95 % intervals over seeds" if seeds > 1 else "95 % intervals over samples"
    caption = f"{first.quality.capitalize()} against the number of loops, with {bands}{drawn_at_most(lines)}."
    run = next(run for runs in arms.values() for run in runs if run.curve is not None)
    if len({run.eval_loops for runs in arms.values() for run in runs if run.curve is not None}) > 1:
        run = replace(run, eval_loops=None)
    parts = [Figure("depth_curves", caption, _curves(lines, first, run))]
    unseen = {arm: curves for arm, runs in arms.items() if (curves := [r.beyond for r in runs if r.beyond is not None])}
    if unseen and all(c.quality == first.quality for curves in unseen.values() for c in curves):
        caption = f"The same out of distribution{drawn_at_most(unseen)}."
        beyond = [mean_line(arm, curves) for arm, curves in unseen.items()]
        parts.append(Figure("ood_depth_curves", caption, _curves(beyond, first, run)))
    return Section("Depth curves", parts)


def _curves(lines: Sequence[Series], depth: Depth, run: Recorded) -> Curves:
    is_share = depth.quality == "accuracy"
    marked = run.eval_loops is not None
    return Curves(
        "loops",
        depth.unit,
        lines,
        level=run.chance if is_share else None,
        level_name="chance",
        marked=run.eval_loops if marked else None,
        marked_name="evaluated",
        is_share=is_share,
    )


def _line(label: str, depth: Depth) -> Series:
    return Series(label, depth.counts, depth.values, depth.low, depth.high)


def mean_line(arm: str, curves: Sequence[Depth]) -> Series:
    """The mean over seeds at the loop counts that all of them have, with Student's interval where there are several."""
    if len(curves) == 1:
        return _line(arm, curves[0])
    counts = sorted(set.intersection(*(set(curve.counts) for curve in curves)))
    at = [[dict(zip(curve.counts, curve.values, strict=True))[n] for curve in curves] for n in counts]
    means, halves = [fmean(values) for values in at], [half_width(values) for values in at]
    return Series(
        arm,
        counts,
        means,
        [m - h for m, h in zip(means, halves, strict=True)],
        [m + h for m, h in zip(means, halves, strict=True)],
    )
