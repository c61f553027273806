"""The page of a study: arms with verdicts, or a search with what it found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import optuna
from optuna.trial import FrozenTrial

from mythos_lab.comparison.arms import by_task, verdicts, without_verdict
from mythos_lab.comparison.ceiling import telling
from mythos_lab.comparison.compare import Comparison
from mythos_lab.comparison.reporting.answers import arms_answer
from mythos_lab.comparison.reporting.arm_sections import halting_section, loops_section, stability_section
from mythos_lab.comparison.reporting.arms_page import (
    SHOWN,
    Arms,
    costs_of,
    differing_section,
    failures_section,
    verdict_section,
)
from mythos_lab.comparison.reporting.common import arms_table, flow, repeat_section
from mythos_lab.comparison.reporting.depth_sections import overlay
from mythos_lab.comparison.reporting.recorded import Recorded, read_run
from mythos_lab.comparison.reporting.search_sections import importance_section, search_section
from mythos_lab.comparison.study_report import endings
from mythos_lab.comparison.table import called, chosen_values, short
from mythos_lab.comparison.verdict import shown_mean
from mythos_lab.metrics import METRICS
from mythos_lab.report.page import Fact, Page, Section, Tabled
from mythos_lab.report.page.charts import MOST_SERIES
from mythos_lab.report.page.page import Part, bounded
from mythos_lab.report.table import Cell, Table, name, number, prose
from mythos_lab.search.artifacts import bring_runs
from mythos_lab.search.opening import OPENED
from mythos_lab.search.spaces.definition import ON
from mythos_lab.search.spaces.domains import Kinds
from mythos_lab.search.spaces.space import ARM, Space
from mythos_lab.search.standing import best_first, front
from mythos_lab.search.trial import REPEATS
from mythos_lab.search.trial_states import is_settled

_MOST_FIELDS = 6  # of a trial that an answer names
_MOST_TIED = 12  # trials of a tie of which runs are read


def study_page(space: Space, study: optuna.Study, command: str) -> Page:
    """What a study was asked, what it held equal, and what came out.

    Args:
        space: Its space.
        study: The study.
        command: What made this page.
    """
    file, done = space.file, best_first(space, study)
    settled = [trial for trial in study.get_trials(deepcopy=False) if is_settled(trial)]
    are_arms = bool(file.arms) and not file.space
    shown = [t for t in done if ARM in t.params] if are_arms else done[:MOST_SERIES]
    runs: Arms = {_label(trial): _runs(space, trial) for trial in _in_order(space, shown, are_arms)}
    found = verdicts(space, study) if are_arms else {}
    without = without_verdict(space, study) if are_arms else {}
    lost = by_task(space, without)
    sections = [_asked(space), _held(space, runs)]
    if are_arms:
        sections += [
            Section("Scores", [Tabled("scores", arms_table(runs, SHOWN))] if runs else []),
            *(
                verdict_section(on_task, next(iter(file.arms)), lost[task], task)
                for task, on_task in by_task(space, found).items()
            ),
            differing_section(found),
        ]
    else:
        sections += [search_section(space, study, done), importance_section(space, study, done)]
    sections += [
        overlay(runs) if runs else Section("Depth curves", []),
        loops_section(runs),
        stability_section(runs),
        halting_section(runs),
        Section("Cost", [Tabled("cost", arms_table(runs, costs_of(runs)))] if runs else []),
        failures_section(runs),
        Section("Failures and vetoes", endings(space, study) or ["Every trial was trained to its end."]),
        repeat_section([f"mythos study {called(space.source)} --trials {len(settled)}", command]),
    ]
    return Page(
        title=file.name,
        kind=f"Study of {len(settled)} trials, {file.seeds} seed{'s' * (file.seeds > 1)} each",
        question=file.description or f"What is the best {next(iter(file.objectives))} in this space?",
        facts=_facts(space, study, settled, done),
        sections=bounded(sections),
        answer=_answer(space, study, done, found, without, runs, are_arms),
    )


def study_answer(space: Space, study: optuna.Study, found: Mapping[str, Comparison] | None = None) -> str:
    """The sentence that answers what a study asked, or says why nothing can.

    Args:
        space: Its space.
        study: The study.
        found: The verdicts on its arms, which are taken here without.
    """
    are_arms, done = bool(space.file.arms) and not space.file.space, best_first(space, study)
    shown = _in_order(space, [t for t in done if ARM in t.params], True) if are_arms else []
    runs: Arms = {_label(trial): _runs(space, trial) for trial in shown}
    if found is None:
        found = verdicts(space, study) if are_arms else {}
    without = without_verdict(space, study) if are_arms else {}
    return _answer(space, study, done, found, without, runs, are_arms)


def _answer(
    space: Space,
    study: optuna.Study,
    done: Sequence[FrozenTrial],
    found: Mapping[str, Comparison],
    without: Mapping[str, str],
    runs: Arms,
    are_arms: bool,
) -> str:
    if not done:
        return "The question cannot be answered: no trial was trained to its end and meets its constraints."
    if are_arms:
        if space.file.seeds < 2:
            others = [name for name in space.file.variants if space.file.reference(name) != name]
            without = {**dict.fromkeys(others, "one seed tells nothing of its scatter"), **without}
        parts, lost, ran = by_task(space, found), by_task(space, without), by_task(space, runs)
        against = next(iter(space.file.arms))
        return " ".join(
            f"{f'On {task}: ' if task else ''}{arms_answer(parts[task], against, lost[task], ran[task])}"
            for task in parts
        )
    metric = next(iter(space.file.objectives))
    done = [trial for trial in done if REPEATS not in trial.user_attrs]  # each candidate once
    if len(space.file.objectives) > 1:
        best = [trial for trial in front(study) if REPEATS not in trial.user_attrs]
        objectives = space.file.objectives
        if len({tuple(trial.values) for trial in best}) == 1:
            names = ", ".join(str(trial.number) for trial in best)
            at = ", ".join(f"{name} {value:.4g}" for name, value in zip(objectives, best[0].values, strict=True))
            who = f"Trials {names} tie, each" if len(best) > 1 else f"Trial {names} is"
            return f"{who} best of {len(done)} in all of {', '.join(objectives)}: {at}."
        return (
            f"No trial is best in all of {', '.join(objectives)}: {len(best)} of {len(done)} are on the "
            f"front, from {_label(best[0])} to {_label(best[-1])}, and which of them to take the objectives do not say."
        )
    first, value = done[0], done[0].values[0]
    tied = [trial for trial in done if trial.values[0] == value]
    if len(tied) > 1:
        top = METRICS[metric].unit == "share" and value in (0.0, 1.0) if metric in METRICS else False
        names = ", ".join(str(trial.number) for trial in tied)
        several = {_label(trial): [run.metrics for run in _runs(space, trial)] for trial in tied[:_MOST_TIED]}
        return (
            f"No trial is best: {len(tied)} of {len(done)} ({names}) tie at {metric} {value:.4g}"
            f"{', the ceiling' if top else ''}, which cannot tell them apart; {telling(list(several), several)}."
            f"{_by_kind(space, done)}"
        )
    said = f"Trial {first.number}{_chosen(space, first)} is first of {len(done)} with {metric} {value:.4g}"
    if len(done) > 1:
        said += f", before trial {done[1].number} with {done[1].values[0]:.4g}"
    if space.file.seeds == 1:
        return f"{said}; of one seed each, so that the order may be the seeds'.{_by_kind(space, done)}"
    flattered = f"means of {space.file.seeds} seeds, chosen among {len(done)}, so that the first is flattered"
    return f"{said}; {flattered}.{_by_kind(space, done)}"


def _chosen(space: Space, trial: FrozenTrial) -> str:
    """What a trial has in the fields that vary, where they are few."""
    if not 0 < len(trial.params) <= _MOST_FIELDS:
        return ""
    values = {field: chosen_values(space, [trial], field)[0] for field in sorted(trial.params)}
    said = [f"{short(f)} {v:.3g}" if isinstance(v, float) else f"{short(f)} {v}" for f, v in values.items()]
    return f" ({', '.join(said)})"


def _by_kind(space: Space, done: Sequence[FrozenTrial]) -> str:
    """The best that each kind of a component came to, of those of which several were trained; ``done`` best first."""
    said = []
    for path, domain in space.domains.items():
        if not isinstance(domain, Kinds):
            continue
        field = domain.label or path
        trials = [trial for trial in done if field in trial.params]
        by_kind: dict[str, list[float]] = {}
        for trial, kind in zip(trials, chosen_values(space, trials, field), strict=True):
            by_kind.setdefault(str(kind), []).append(trial.values[0])
        if len(by_kind) > 1:
            best = [f"{kind} {values[0]:.3g} ({len(values)})" for kind, values in by_kind.items()]
            said.append(f"{short(field)} {', '.join(best)}")
    return f" The best by kind, of so many trials: {'; '.join(said)}." if said else ""


def _asked(space: Space) -> Section:
    file = space.file
    overrides = f" with {' '.join(file.overrides)}" if file.overrides else ""
    parts: list[Part] = [f"Recipe {file.recipe}{overrides}."]
    if file.arms:
        rows = [
            [arm, ", ".join(f"{path}={flow(value)}" for path, value in changes.items()) or "as the recipe has it"]
            for arm, changes in file.arms.items()
        ]
        parts.append(Tabled("arms", Table([name("arm"), prose("changes")], rows)))
    if file.tasks:
        rows = [
            [task, ", ".join(f"{path}={flow(value)}" for path, value in set_.items())]
            for task, set_ in file.tasks.items()
        ]
        parts.append(
            Tabled("tasks", Table([name("task"), prose("changes")], rows, "On each of which every arm is trained"))
        )
    if file.space:
        rows = [[path, flow(value)] for path, value in file.space.items()]
        parts.append(Tabled("space", Table([name("field"), prose("values")], rows, "What varies")))
    return Section("Arms" if file.arms else "Space", parts)


def _held(space: Space, runs: Arms) -> Section:
    parts: list[Part] = []
    for task, hold in space.holds.items():
        rows = []
        runs_of = {arm: each for arm, each in runs.items() if not task or arm.endswith(f"{ON}{task}")}
        for metric, wanted in hold.budgets.items():
            values = [run.metrics[metric] for each in runs_of.values() for run in each if metric in run.metrics]
            spread = f"{min(values):,.0f} to {max(values):,.0f}" if values else ""
            rows.append([metric, Cell(float(wanted), shown_mean([float(wanted)])), spread])
        parts.append(
            f"{f'On {task}, held' if task else 'Held'} within {hold.tolerance:.0%}, by {', '.join(hold.paths)}."
        )
        columns = [name("budget"), number("held", "held at"), number("runs", "runs have")]
        parts.append(Tabled(f"budgets_{task}" if task else "budgets", Table(columns, rows)))
    if space.file.constraints:
        parts.append(f"Constraints: {', '.join(space.file.constraints)}.")
    return Section("Budgets held", parts or ["No budget is held: arms may differ in parameters and FLOPs."])


def _facts(
    space: Space, study: optuna.Study, settled: Sequence[FrozenTrial], done: Sequence[FrozenTrial]
) -> list[Fact]:
    file, metric = space.file, next(iter(space.file.objectives))
    facts = (
        [Fact("Arms", str(len(file.arms)), f"on {len(file.tasks)} tasks" if file.tasks else "")]
        if file.arms
        else [Fact("Fields", str(len(file.space)))]
    )
    facts += [Fact("Trials", str(len(settled)), f"{len(done)} trained to their end")]
    facts += [Fact("Seeds", str(file.seeds), "paired" if file.seeds > 1 else "")]
    facts.append(Fact("Judged by", metric, f"to {file.objectives[metric]}"))
    if file.arms:
        facts.append(Fact("What matters", f"±{file.matters:g}"))
    if (opened := study.user_attrs.get(OPENED)) is not None and isinstance(opened, dict):
        facts.append(Fact("Test split", "opened", str(opened.get("at", ""))))
    return facts


def _in_order(space: Space, trials: Sequence[FrozenTrial], are_arms: bool) -> list[FrozenTrial]:
    """Arms as they were declared; trials the best first."""
    if not are_arms:
        return list(trials)
    order = list(space.file.variants)
    return sorted(trials, key=lambda trial: order.index(trial.params[ARM]))


def _label(trial: FrozenTrial) -> str:
    return str(trial.params[ARM]) if set(trial.params) == {ARM} else f"trial {trial.number}"


def _runs(space: Space, trial: FrozenTrial) -> list[Recorded]:
    return [read_run(folder) for folder in sorted(bring_runs(space, trial).glob("seed-*"))]
