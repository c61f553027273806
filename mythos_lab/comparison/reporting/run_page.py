"""The page of one run."""

from __future__ import annotations

import math
import shlex

from mythos_lab.comparison.reporting.common import cost_section, metrics_table, repeat_section, shown
from mythos_lab.comparison.reporting.depth_sections import depth_section
from mythos_lab.comparison.reporting.measure_sections import (
    VERDICT,
    halting_section,
    halts,
    knockouts,
    other_measures,
    stability_section,
    verdict_section,
)
from mythos_lab.comparison.reporting.recorded import Recorded
from mythos_lab.metrics import METRICS
from mythos_lab.report.page import Fact, Figure, Intervals, Page, Section, Tabled
from mythos_lab.report.page.page import bounded
from mythos_lab.training.result import RECIPE


def run_page(run: Recorded) -> Page:
    """What a run was asked, what it came to, and how to do it again."""
    scores = metrics_table(run, ("val/", "ood/", "test/", "breadth/", "loops/"))
    return Page(
        title=run.recipe.name,
        kind=f"Run {run.folder.absolute().name}, seed {run.recipe.seed}",
        question=f"What are the loops of {run.recipe.name} worth?",
        about=run.recipe.description,
        facts=_facts(run),
        sections=bounded(
            [
                _ending(run),
                Section("Scores", [Tabled("scores", scores)] if scores.rows else ["No score was written down."]),
                depth_section(run),
                verdict_section(run),
                _knockouts(run),
                stability_section(run),
                halting_section(run),
                other_measures(run),
                cost_section(run),
                repeat_section(_commands(run), _surroundings(run)),
            ]
        ),
        answer=run_answer(run),
    )


def run_answer(run: Recorded) -> str:
    """What the loops are worth, in a sentence; or why that cannot be said."""
    if run.status != "finished":
        return f"Nothing can be said of its loops: the run is {run.status}{f' ({run.reason})' if run.reason else ''}."
    said = [_quality(run), *_beyond(run)]
    gain, between = run.metrics.get("loops/gain", math.nan), run.intervals.get("loops/gain")
    if math.isfinite(gain) and (run.eval_loops is None or run.eval_loops > 1):
        low, high = between if between is not None else (None, None)
        told = low is not None and high is not None
        size = f"{gain:+.3g}{f' [{low:.3g}, {high:.3g}]' if told else ''} over one loop"
        if told and low <= 0 <= high:  # type: ignore[operator]
            said.append(f"its further loops change nothing that these samples can tell ({size})")
        else:
            said.append(f"its further loops are worth {size}")
    verdict = next((each.finding for each in run.measures if each.kind == VERDICT and each.finding), "")
    if verdict:
        said.append(verdict)
    elif math.isfinite(gain):
        said.append("whether they do different things was not measured (`mythos measure` takes the loop verdict)")
    return f"{'; '.join(said)}. This is one seed: of others nothing is said."


def _quality(run: Recorded) -> str:
    metric = run.quality
    value, unit = run.metrics.get(metric, math.nan), METRICS[metric].unit if metric in METRICS else ""
    low, high = run.intervals.get(metric, (None, None))
    between = f" [{low:.3g}, {high:.3g}]" if low is not None and high is not None else ""
    ceiling = ", the ceiling: a harder setting would tell more" if unit == "share" and value >= 1 else ""
    return f"{run.recipe.name} comes to {metric} {value:.3g}{between}{ceiling}"


def _beyond(run: Recorded) -> list[str]:
    metric = f"ood/{run.quality.removeprefix('val/')}"
    value = run.metrics.get(metric, math.nan)
    if not math.isfinite(value):
        return []
    low, high = run.intervals.get(metric, (None, None))
    if low is None or high is None:
        return [f"out of distribution it comes to {value:.3g}"]
    by_chance = run.chance is not None and low <= run.chance <= high
    best = run.metrics.get("ood/best_accuracy", math.nan) if metric == "ood/accuracy" else math.nan
    at = run.beyond.counts[run.beyond.values.index(max(run.beyond.values))] if run.beyond is not None else None
    where = "the loop count that is best there" if at is None else f"{at} loops, the count that is best there"
    elsewhere = f", and to {best:.3g} at {where}" if best > high else ""
    chance = ", which is chance" if by_chance else ""
    return [f"out of distribution it comes to {value:.3g} [{low:.3g}, {high:.3g}]{chance}{elsewhere}"]


def _facts(run: Recorded) -> list[Fact]:
    metrics = run.metrics
    facts = [Fact("Status", run.status)]
    for metric, label in ((run.quality, run.quality), ("ood/accuracy", "ood/accuracy")):
        if math.isfinite(metrics.get(metric, math.nan)):
            low, high = run.intervals.get(metric, (None, None))
            between = f"{low:.3g} to {high:.3g}" if low is not None and high is not None else ""
            facts.append(Fact(label, f"{metrics[metric]:.3g}", between))
    if "loops/used" in metrics and run.eval_loops is not None:
        distinct = metrics.get("loops/distinct", math.nan)
        note = f"{distinct:g} distinct" if math.isfinite(distinct) else ""
        facts.append(Fact("Loops used", f"{metrics['loops/used']:g} of {run.eval_loops}", note))
    if "cost/params" in metrics:
        facts.append(Fact("Parameters", f"{metrics['cost/params']:,.0f}"))
    if "cost/training_flops" in metrics:
        facts.append(Fact("Training FLOPs", f"{metrics['cost/training_flops']:.3g}"))
    return facts


def _ending(run: Recorded) -> Section:
    if run.status == "finished":
        return Section("How it ended", [])
    return Section("How it ended", [f"The run is {run.status}: {run.reason or 'no reason was written down'}."])


def _knockouts(run: Recorded) -> Section:
    found = knockouts(run)
    if not found:
        why = (
            "evaluation.knockouts is off"
            if not run.recipe.evaluation.knockouts
            else "no component of the loop is on that could be taken out"
            if run.status == "finished"
            else f"the run is {run.status}"
        )
        return Section("Knock-outs", [f"There are no knock-outs: {why}."])
    values, low, high = zip(*found.values(), strict=True)
    chart = Intervals("quality lost without it", list(found), values, low, high)
    inert = [
        slot for slot, (_, low, high) in found.items() if low is not None and high is not None and low <= 0 <= high
    ]
    said = [f"Taking out {', '.join(inert)} changes nothing that these samples can tell."] if inert else []
    caption = "Quality lost where a component of the trained loop is replaced by its off kind, with 95 % intervals."
    return Section("Knock-outs", [Figure("knockouts", caption, chart, is_small=False), *said])


def _commands(run: Recorded) -> list[str]:
    folder = shown(run.folder)
    commands = [f"mythos train {shlex.quote(f'{folder}/{RECIPE}')}"]
    if run.status == "finished":
        commands += [f"mythos depth {shlex.quote(folder)}", f"mythos measure {shlex.quote(folder)}"]
    return [*commands, f"mythos report {shlex.quote(folder)}"]


def _surroundings(run: Recorded) -> list[str]:
    halting = " Positions halt." if halts(run) else ""
    training, task = run.recipe.training, run.recipe.model_dump(mode="json")["task"]["kind"]
    return [
        f"{training.max_steps:,} steps of {training.batch_size} sequences in {training.precision}, seed "
        f"{run.recipe.seed}, on the task {task}.{halting}"
    ]
