"""A sweep's plan and its outcome, as tables and sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mythos_lab.comparison.worth.fit import Estimate
from mythos_lab.comparison.worth.sweep import Sweep, SweepArm
from mythos_lab.comparison.worth.worth import Worth
from mythos_lab.report.report import Report
from mythos_lab.report.table import Cell, Table, interval, name, nothing, number, prose


def plan_report(sweep: Sweep, written: Path) -> Report:
    """Models and budgets, and what all of it costs."""
    report = Report()
    models: dict[tuple[int, int], list[SweepArm]] = {}
    for arm in sweep.arms.values():
        models.setdefault((arm.width, arm.loops), []).append(arm)
    columns = (
        name("width"),
        name("loops"),
        number("num_once", "N_once", ","),
        number("num_rec", "N_rec", ","),
        prose("steps", importance=1),
        prose("training_flops", "FLOPs a run", 1),
    )
    rows = [
        (
            width,
            loops,
            arms[0].num_once,
            arms[0].num_rec,
            Cell([arm.steps for arm in arms], ", ".join(f"{arm.steps:,}" for arm in arms)),
            Cell([arm.training_flops for arm in arms], ", ".join(f"{arm.training_flops:.2g}" for arm in arms)),
        )
        for (width, loops), arms in models.items()
    ]
    report.show("models", Table(columns, rows, f"{sweep.name}: {sweep.num_layers} layers"))
    report.know({"study": sweep.name, "num_layers": sweep.num_layers, "notes": sweep.notes})
    for note in sweep.notes:
        report.say(note)
    report.say(
        f"{sweep.num_runs} runs: {len(sweep.arms)} arms of {sweep.num_seeds} seed{'s' * (sweep.num_seeds > 1)}, "
        f"{sweep.training_flops:.3g} FLOPs",
        {
            "num_runs": sweep.num_runs,
            "num_arms": len(sweep.arms),
            "num_seeds": sweep.num_seeds,
            "flops": sweep.training_flops,
        },
    )
    report.say(f"study:  {written}", {"file": written}, whole=True)
    return report


def worth_report(worth: Worth, files: Sequence[Path] = ()) -> Report:
    """Cells, the law's parameters, equivalent sizes, and what can be said."""
    report, fit = Report(), worth.fit
    report.show("cells", _cells(worth))
    report.say("L = E + A (N_once + r^phi N_rec)^-alpha + B D^-beta", whole=True)
    columns = (name("parameter", ""), number("fitted"), number("interval", "95 %"))
    report.show("parameters", Table(columns, [(n, e.value, _between(e, ".4g")) for n, e in fit.parameters.items()]))
    if worth.equivalents:
        report.show("equivalents", _equivalents(worth))
    reasons = Counter(worth.gathered.left_out.values())
    report.know({"left_out": reasons, "counted": worth.counted})
    if reasons:
        report.say("left out: " + ", ".join(f"{n} {reason}" for reason, n in reasons.items()))
    report.say(worth.judgement.sentence, {"finding": worth.judgement.sentence, "told": worth.judgement.told})
    report.know({"flags": worth.judgement.flags, "written": files})
    for flag in worth.judgement.flags:
        report.say(flag, indent=2)
    for path in files:
        report.say(f"written: {path}", whole=True)
    return report


def _cells(worth: Worth) -> Table:
    columns = (
        name("num_once", "N_once"),
        name("num_rec", "N_rec"),
        name("loops"),
        name("tokens"),
        number("seeds", form=",", importance=2),
        number("loss", form=".4f"),
        number("interval", "95 %"),
        number("law", form=".4f"),
    )
    rows = []
    for cell, predicted in zip(worth.fit.cells, worth.fit.predicted, strict=True):
        losses = list(cell.losses.values())
        between = interval(*cell.interval(), ".4f") if len(losses) > 1 else nothing()
        whole = (cell.num_once, cell.num_rec, cell.loops, cell.tokens)
        named = [Cell(n, f"{n:g}" if isinstance(n, float) else f"{n:,}") for n in whole]
        rows.append((*named, len(losses), sum(losses) / len(losses), between, predicted))
    return Table(columns, rows, "cells (nats per token)")


def _equivalents(worth: Worth) -> Table:
    columns = (
        name("num_stored", "stored"),
        name("loops"),
        number("equals", form=",.0f"),
        number("interval", "95 %"),
        number("unrolled", form=",.0f"),
    )
    rows = [
        (
            Cell(cell.num_stored, f"{cell.num_stored:,}"),
            Cell(cell.loops, f"{cell.loops:g}"),
            estimate.value,
            _between(estimate, ",.0f"),
            cell.num_once + cell.num_rec * cell.loops,
        )
        for cell, estimate in worth.equivalents
    ]
    return Table(columns, rows, f"equivalent unique parameters ({worth.counted})")


def _between(estimate: Estimate, form: str) -> Cell:
    return interval(estimate.low, estimate.high, form)
