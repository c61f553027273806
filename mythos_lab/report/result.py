"""The result of a run, and how it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mythos_lab.checks import Finding
from mythos_lab.measures.base import Outcome, Value
from mythos_lab.measures.breadth import Breadth
from mythos_lab.measures.depth_curve import DepthCurve
from mythos_lab.measures.knockout import SLOTS
from mythos_lab.measures.tally import Interval, Tally
from mythos_lab.recipe.cost import Cost
from mythos_lab.recipe.urls import without_password
from mythos_lab.report.loops import loops_table
from mythos_lab.report.report import Report
from mythos_lab.report.table import Table, interval, name, nothing, number, prose
from mythos_lab.tasks.base import HeldOut

_SHOWN = (
    "val/accuracy",
    "val/loss",
    "val/bits_per_byte",
    "ood/accuracy",
    "breadth/single",
    "breadth/vote",
    "breadth/confident",
    "breadth/gain",
    "halting/depth_read",
    "loops/executed",
    "loops/gain",
    "loops/useful_depth",
    "loops/overthinking",
    "loops/used",
    "loops/distinct",
    "stability/rho_A",
)

Status = Literal["finished", "diverged", "pruned"]
"""How a run ended."""


@dataclass(frozen=True)
class RunResult:
    """What a run left.

    Attributes:
        status: ``finished``, ``diverged`` or ``pruned``.
        reason: Why it did not finish, or why before its last step.
        folder: The run's directory.
        run_id: The MLflow run.
        metrics: The last value of every metric.
        cost: What it cost.
        intervals: 95 % intervals of metrics that samples were counted for. They are of other samples that might have
            been drawn, not of other seeds that might have been trained.
        findings: What the effect check found, all waived.
        curve: The depth curve of a finished run.
        ood: The same out of distribution, for tasks that have such samples.
        slices: What each value of each slice of the validation split came to.
        outcomes: What the measures of the recipe came to.
        histogram: Share of positions that ran 1, 2, ... iterations before halting, at the evaluated loop count.
    """

    status: Status
    folder: Path
    run_id: str
    metrics: dict[str, float]
    cost: Cost
    intervals: dict[str, Interval] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    curve: DepthCurve | None = None
    ood: DepthCurve | None = None
    slices: dict[str, dict[int, Tally]] = field(default_factory=dict)
    reason: str = ""
    outcomes: list[Outcome] = field(default_factory=list)
    histogram: list[float] = field(default_factory=list)


def run_report(result: RunResult) -> Report:
    """What a run came to, and where to look further."""
    report = Report()
    report.know({"waived": [{"code": f.code, "message": f.message} for f in result.findings]})
    for finding in result.findings:
        report.say(f"waived  {finding.code}: {finding.message}")
    if result.curve is not None:
        report.show("depth_curve", curve_table(result.curve))
    if result.ood is not None:
        report.show("ood_depth_curve", curve_table(result.ood, "out of distribution"))
    rows = []
    for metric in (*_SHOWN, *(n for n in result.metrics if n.startswith("knockout/"))):
        if metric in result.metrics:
            between = result.intervals.get(metric)
            rows.append((metric, result.metrics[metric], nothing() if between is None else interval(*between)))
    report.show("metrics", Table((name("metric"), number("value"), number("interval", "95 % interval")), rows))
    for outcome in result.outcomes:
        report.say(f"{outcome.kind}: {outcome.finding}")
    report.know({"findings": {outcome.kind: outcome.finding for outcome in result.outcomes}})
    if result.status == "finished":
        for said in _missing(result):
            report.say(said)
    if num := result.metrics.get("speed/num_given_up"):
        report.say(
            f"compiled in part: {num:.0f} times torch stopped compiling a layer, at its limit of graphs, and ran it "
            f"uncompiled where none fits; there are {result.metrics['speed/num_graphs']:.0f}"
        )
    if result.intervals:
        report.say("intervals: over the samples of the split; other seeds are not in them")
    report.say(
        f"{result.status}{': ' + result.reason if result.reason else ''}",
        {"status": result.status, "reason": result.reason},
    )
    report.say(f"folder: {result.folder}", {"folder": result.folder, "mlflow_run": result.run_id}, whole=True)
    report.say(f"more:   mythos report {result.folder}", whole=True)
    report.say(f"        {ui_command(result.cost.recipe.tracking.uri)}", whole=True)
    return report


def _missing(result: RunResult) -> list[str]:
    """What stands in no table, and why."""
    said = []
    if not any(metric.startswith("knockout/") for metric in result.metrics):
        is_off = not result.cost.recipe.evaluation.knockouts
        why = "evaluation.knockouts is off" if is_off else f"the loop has none of {', '.join(SLOTS)}"
        said.append(f"no knock-outs: {why}")
    if sum(share > 0 for share in result.histogram) == 1:
        rule = "no position halted" if "halting/mean_loops" in result.metrics else "nothing halts"
        said.append(f"{rule}: every position runs {len(result.histogram)} iterations")
    return said


def outcomes_report(outcomes: Sequence[Outcome]) -> Report:
    """What measures came to, and what it says: what is of loops with a column for each, all else a row a value."""
    report = Report()
    values = [value for outcome in outcomes for value in outcome.values]
    report.know({"measures": _values_table(values).records()})
    if whole := [value for value in values if value.loop is None]:
        report.parts.append(_values_table(whole))
    report.parts += [table for outcome in outcomes if (table := loops_table(outcome)) is not None]
    for outcome in outcomes:
        report.say(f"{outcome.kind}: {outcome.finding}")
    report.know({"findings": {outcome.kind: outcome.finding for outcome in outcomes}})
    return report


def _values_table(values: Sequence[Value]) -> Table:
    columns = (name("quantity"), name("loop"), name("of"), number("value"), number("interval", "95 % interval"))
    cells = [
        (
            v.quantity,
            "" if v.loop is None else v.loop,
            v.of,
            v.value,
            nothing() if v.interval is None else interval(*v.interval),
            v.note,
        )
        for v in values
    ]
    return Table((*columns, prose("note")), cells)


def ui_command(store: str | None) -> str:
    """The command that shows the runs of a store; ``None`` is the default one."""
    return "mythos ui" if store is None else f"mythos ui --store {without_password(store)}"


def breadth_table(found: Mapping[int, Breadth], title: str = "several starts") -> Table:
    """What several starts come to together, a row for each loop count."""
    names = ("single", "vote", "confident", "gain")
    columns = [name("loops"), *(number(each, form=".3f") for each in names), number("interval", "95 % of gain")]
    rows = []
    for count, at in found.items():
        values, gain = at.metrics(), at.intervals()["breadth/gain"]
        span = nothing() if gain is None else interval(*gain, ".3f")
        rows.append([count, *(values[f"breadth/{each}"] for each in names), span])
    return Table(columns, rows, title)


def curve_sentence(curve: DepthCurve, split: HeldOut) -> str:
    """What an evaluation came to at the loop count that is best, and what chance would come to."""
    best = max(curve.scores, key=lambda n: (curve.quality(n), -n))
    scores, between, chance = curve.scores[best], curve.interval(best), curve.task.chance
    value = scores.loss if chance is None else scores.accuracy
    unit = "" if chance is not None else " nats a token"
    ends = "" if between is None else f" [{between[0]:.3g}, {between[1]:.3g}]"
    among = ", the best of these counts" if len(curve.scores) > 1 else ""
    said = f"{curve.quality_name} {value:.3g}{ends}{unit} at {best} loop{'s' * (best > 1)}{among}"
    said += f", on {curve.task.size(split):,} samples ({split}) of {curve.task.kind}"
    if chance is None or between is None:
        return said
    is_chance = between[0] <= chance <= between[1]
    return f"{said}, which is chance ({chance:.3g})" if is_chance else f"{said}; chance is {chance:.3g}"


def curve_table(curve: DepthCurve, title: str = "depth curve") -> Table:
    """The depth curve, a row for each loop count."""
    rows, quality = curve.rows(), curve.quality_name
    low, high = f"{quality}_low", f"{quality}_high"
    # Difficulties are named once, above: their columns would not fit a terminal otherwise.
    prefix = f"{curve.task.difficulty_name}="
    levels = [key for key in rows[0] if key.startswith(prefix)]
    note = f"; accuracy by {curve.task.difficulty_name}" if levels else ""
    columns = [name("loops"), number("loss", form=".3f"), number("accuracy", form=".3f")]
    columns += [number(f"{quality}_interval", f"95 % of {quality}")] if low in rows[0] else []
    columns += [number(key, key.removeprefix(prefix), ".3f", importance=2) for key in levels]
    return Table(
        columns,
        [
            [
                int(row["loops"]),
                row["loss"],
                row["accuracy"],
                *([interval(row[low], row[high], ".3f")] if low in row else []),
                *(row[key] for key in levels),
            ]
            for row in rows
        ],
        title + note,
    )
