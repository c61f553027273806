"""The page of several runs: arms by recipe, held against the first."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence

from mythos_lab.comparison.compare import Comparison, compare_arms, corrected
from mythos_lab.comparison.inputs import content_of, read_arm
from mythos_lab.comparison.reporting.answers import arms_answer
from mythos_lab.comparison.reporting.arm_sections import halting_section, loops_section, stability_section
from mythos_lab.comparison.reporting.common import BUDGETS, arms_table, repeat_section, shown
from mythos_lab.comparison.reporting.depth_sections import overlay
from mythos_lab.comparison.reporting.recorded import Recorded
from mythos_lab.recipe.differences import differences
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.report.page import Fact, Figure, Finding, Intervals, Page, Section, Tabled
from mythos_lab.report.page.page import Part, bounded
from mythos_lab.report.table import Cell, Table, name, number, prose
from mythos_lab.training.result import RECIPE

SHOWN = ("val/accuracy", "val/loss", "val/bits_per_byte", "ood/accuracy", "ood/best_accuracy", "ood/loss")

Arms = dict[str, list[Recorded]]
"""Runs by arm, the first being what the others are held against."""


def grouped(runs: Sequence[Sequence[Recorded]]) -> Arms:
    """Arms of runs: those given together, and of those given alone the ones that differ in their seed only.

    Raises:
        RecipeError: Two runs of an arm have the same seed.
    """
    groups: dict[str, list[Recorded]] = {}
    for i, given in enumerate(runs):
        key = json.dumps(content_of(given[0].recipe), sort_keys=True) if len(given) == 1 else f"group {i}"
        groups.setdefault(key, []).extend(given)
    arms: Arms = {}
    for each in groups.values():
        by_seed: dict[int, Recorded] = {}
        for run in each:
            if (other := by_seed.setdefault(run.recipe.seed, run)) is not run:
                raise RecipeError(f"{run.folder}: has seed {run.recipe.seed}, as {other.folder} has")
        label, first = re.sub(r"-seed-\d+$", "", each[0].recipe.name), next(iter(arms.values()), None)
        if label in arms and first is not None:
            changed = differences(content_of(first[0].recipe), content_of(each[0].recipe))
            label = f"{label}: {', '.join(f'{path}={new}' for path, _, new in changed[:2])}" if changed else label
        number = 2
        unique = label
        while unique in arms:
            unique, number = f"{label} ({number})", number + 1
        arms[unique] = each
    return arms


def arms_page(arms: Arms, metric: str | None, declared: Sequence[str], matters: float, command: Sequence[str]) -> Page:
    """The page of arms that nobody declared as a study.

    Args:
        arms: The runs.
        metric: What is compared; what the first run is judged by without.
        declared: Inputs that are meant to differ.
        matters: The smallest difference that matters.
        command: What made this page.
    """
    first = next(iter(arms))
    metric = metric or arms[first][0].quality
    finished = {arm: [run for run in runs if run.status == "finished"] for arm, runs in arms.items()}
    found, without = _compared(finished, metric, declared, matters)
    names = ", ".join(arms)
    folders = [shown(run.folder) for runs in arms.values() for run in runs]
    return Page(
        title=names if len(names) <= 60 else f"{len(arms)} arms",
        kind=f"{len(folders)} runs in {len(arms)} arm{'s' * (len(arms) > 1)}",
        question=f"Does {metric} differ between these runs, and what do their loops do?",
        facts=[
            Fact("Arms", str(len(arms))),
            Fact("Runs", str(len(folders))),
            Fact("Compared by", metric),
            Fact("What matters", f"±{matters:g}"),
        ],
        sections=bounded(
            [
                _members(arms),
                Section("Scores", [Tabled("scores", arms_table(finished_only(finished), SHOWN))]),
                verdict_section(found, first, without),
                differing_section(found),
                overlay(finished_only(finished)),
                loops_section(finished_only(finished)),
                stability_section(finished_only(finished)),
                halting_section(finished_only(finished)),
                Section("Cost", [Tabled("cost", arms_table(finished_only(finished), costs_of(finished)))]),
                failures_section(arms),
                repeat_section([shlex.join(["mythos", "report", *command])], _trained(arms)),
            ]
        ),
        answer=arms_answer(found, first, without, finished_only(finished)),
    )


def finished_only(arms: Mapping[str, Sequence[Recorded]]) -> Arms:
    """Arms that have finished runs."""
    return {arm: list(runs) for arm, runs in arms.items() if runs}


def _compared(
    arms: Arms, metric: str, declared: Sequence[str], matters: float
) -> tuple[dict[str, Comparison], dict[str, str]]:
    """Each arm against the first, and why there is no comparison of some."""
    first, *others = arms
    if not others:
        return {}, {first: "there is one arm only"}
    if not arms[first]:
        return {}, {first: "none of its runs is finished"}
    reference, found, without = read_arm([run.folder for run in arms[first]]), {}, {}
    for arm in others:
        if not arms[arm]:
            without[arm] = "none of its runs is finished"
            continue
        try:
            other = read_arm([run.folder for run in arms[arm]])
            found[arm] = compare_arms(reference, other, metric, declared, matters)
        except RecipeError as error:
            without[arm] = error.lines[0]
    return dict(zip(found, corrected(list(found.values()), matters, len(others)), strict=True)), without


def verdict_section(found: Mapping[str, Comparison], first: str, without: Mapping[str, str], task: str = "") -> Section:
    """Differences with their intervals, and what may be said of each; on one task, where there are several."""
    parts: list[Part] = [f"No verdict on {arm}: {why}." for arm, why in without.items()]
    if found:
        one = next(iter(found.values()))
        verdicts = [c.verdict for c in found.values()]
        level, p, said = number("level"), number("p", "p (Holm)"), prose("verdict", importance=1)
        also = prose("also", "also differs in")
        more = (
            (level, [Cell(v.level, v.shown_level) for v in verdicts]),
            (p, [Cell(v.p_adjusted, f"{v.p_adjusted:.2g}") for v in verdicts]),
            (said, ["at the ceiling" if c.ceiling else c.verdict.outcome for c in found.values()]),
            (also, [", ".join(c.undeclared) or "nothing undeclared" for c in found.values()]),
        )  # fmt: skip
        metric = f"{one.metric}, difference from {first}"
        chart = Intervals(
            metric, list(found), [v.difference for v in verdicts], [v.low for v in verdicts],
            [v.high for v in verdicts], one.matters, more,
        )  # fmt: skip
        caption = (
            f"Differences from {first} over paired seeds, with intervals at the level that Holm's method tests each "
            f"at. The band is what does not matter, ±{one.matters:g}."
        )
        parts = [Figure(f"verdicts_{task}" if task else "verdicts", caption, chart), *parts]
        parts += [Finding(f"A: {first}, B: {arm}", comparison.sentence) for arm, comparison in found.items()]
    return Section(f"Verdicts on {task}" if task else "Verdicts", parts)


def differing_section(found: Mapping[str, Comparison]) -> Section:
    """What went in and differs."""
    rows = [
        [arm, path, _value(a), _value(b), "undeclared" if path in c.undeclared else "declared"]
        for arm, c in found.items()
        for path, (a, b) in c.unequal.items()
    ]
    columns = [name("arm"), name("input"), prose("first"), prose("value", "arm's"), name("declared", "")]
    return Section("What differs in what went in", [Tabled("inputs", Table(columns, rows))] if rows else [])


def failures_section(arms: Mapping[str, Sequence[Recorded]]) -> Section:
    """Runs that did not finish."""
    lines = [
        f"{shown(run.folder)} ({arm}) is {run.status}: {run.reason or 'no reason was written down'}."
        for arm, runs in arms.items()
        for run in runs
        if run.status != "finished"
    ]
    return Section("What did not finish", lines)


def costs_of(arms: Mapping[str, Sequence[Recorded]]) -> list[str]:
    """Cost metrics, those first that comparisons are held against."""
    found = {m for runs in arms.values() for run in runs for m in run.metrics if m.startswith("cost/")}
    return [*BUDGETS, *sorted(found - set(BUDGETS))][:12]


def _members(arms: Arms) -> Section:
    rows = [[arm, run.recipe.seed, run.status, shown(run.folder)] for arm, runs in arms.items() for run in runs]
    return Section("Runs", [Tabled("runs", Table([name("arm"), number("seed"), name("status"), name("folder")], rows))])


def _trained(arms: Arms) -> list[str]:
    one = next(iter(arms.values()))[0]
    return [f"Each run again: mythos train with the {RECIPE} of its folder, such as {shown(one.folder / RECIPE)}."]


def _value(value: object) -> Cell:
    text = f"{value:,.4g}" if isinstance(value, float) else str(value)
    return Cell(text, text if len(text) <= 120 else f"{text[:117]}...")
