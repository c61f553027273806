"""What comparisons, studies and holdouts came to, as tables and sentences."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from mythos_lab.comparison.cells import means, near
from mythos_lab.comparison.compare import Comparison
from mythos_lab.comparison.differing import apart
from mythos_lab.comparison.match import Match
from mythos_lab.recipe.files import data_dir
from mythos_lab.report.report import Report
from mythos_lab.report.table import Cell, Column, Table, interval, name, nothing, number, prose
from mythos_lab.search.spaces.chosen import by_position, chosen
from mythos_lab.search.spaces.definition import ON
from mythos_lab.search.spaces.space import ARM, Space
from mythos_lab.search.standing import on_front
from mythos_lab.search.trial import values_by_seed

_MOST_NUMBERS = 8  # of a curve that is shown whole
_HASH = re.compile(r"[0-9a-f]{32,}")
_LONGEST = 40  # characters of a value that differs, before only the difference is shown


def match_report(found: Match, written: Path | None) -> Report:
    """The counterpart's sizes and budgets against the original's."""
    report = Report()
    rows: list[tuple[Any, ...]] = [
        (budget, Cell(a, f"{a:,.0f}"), Cell(b, f"{b:,.0f}"), miss) for budget, (a, b, miss) in found.held.items()
    ]
    rows += [(path, str(before), new, None) for path, (before, new) in found.varied.items()]
    if "model.core.depth" not in found.varied:
        depth = found.recipe.model_dump(mode="json")["model"]["core"]["depth"]
        rows.append(("model.core.depth", None, depth, None))
    columns = (name("field", ""), number("original"), number("counterpart"), number("mismatch", form="+.2%"))
    report.show("match", Table(columns, rows, found.recipe.name))
    report.know({"recipe": found.recipe.name, "written": written})
    if written is not None:
        report.say(f"written: {written}   train: mythos train {written}", whole=True)
    return report


def comparison_report(found: Comparison) -> Report:
    """What went in and differs, each seed's values, and the finding."""
    report = Report()
    columns = (name("input"), prose("a", "A", 1), prose("b", "B", 1), Column("declared", "", importance=2))
    rows = [_unequal(path, a, b, path not in found.undeclared) for path, (a, b) in found.unequal.items()]
    if rows:
        report.show("unequal", Table(columns, rows, "what differs"))
    else:
        report.say("the arms do not differ in anything that went in", {"unequal": []})
    seeds = sorted(set(found.a.metrics) & set(found.b.metrics))
    values = [[arm.metrics[seed][found.metric] for arm in (found.a, found.b)] for seed in seeds]
    columns = (name("seed"), number("a", "A"), number("b", "B"), number("difference", "B - A", "+.4g"))
    report.show(
        "values", Table(columns, [(s, a, b, b - a) for s, (a, b) in zip(seeds, values, strict=True)], found.metric)
    )
    for line in (*found.changed, *found.ended_early):
        report.say(line)
    report.know({"changed_since": found.changed, "ended_early": found.ended_early})
    report.say(found.sentence, {"metric": found.metric, "finding": found.sentence, "outcome": found.verdict.outcome})
    return report


def _unequal(path: str, a: Any, b: Any, declared: bool) -> tuple[Any, ...]:
    texts = _sides(a, b)
    if texts[0] == texts[1] and not isinstance(a, str):
        texts = [repr(a), repr(b)]
    shown = apart(texts[0], texts[1], _LONGEST)
    cells = [Cell(value, text) for value, text in zip((a, b), shown, strict=True)]
    return path, *cells, Cell(declared, "declared" if declared else "undeclared")


def _sides(a: Any, b: Any) -> list[str]:
    """Two values as people read them: of a hash its beginning, of a curve its ends and where the two first part."""
    if all(_is_curve(value) for value in (a, b)):
        at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)) - 1)
        return [" ... ".join(f"{each:.4g}" for each in (v[0], v[at], v[-1])) for v in (a, b)]
    if all(isinstance(value, str) and _HASH.fullmatch(value) for value in (a, b)) and a[:12] != b[:12]:
        return [a[:12], b[:12]]
    return [f"{value:,.4g}" if isinstance(value, float) else str(value) for value in (a, b)]


def _is_curve(value: Any) -> bool:
    are_numbers = isinstance(value, list) and all(isinstance(each, int | float) for each in value)
    return are_numbers and len(value) > _MOST_NUMBERS


def arms_report(space: Space) -> Report:
    """The arms of a study and what each changes, before anything trains."""
    report, file = Report(), space.file
    rows = [
        (arm, Cell(changes, ", ".join(f"{path}={value}" for path, value in changes.items())))
        for arm, changes in file.variants.items()
    ]
    title = f"{file.name}: {len(file.variants)} arms of {file.seeds} seeds"
    report.show("arms", Table((name("arm"), prose("changes", importance=1)), rows, title))
    report.know({"study": file.name, "num_arms": len(file.variants), "seeds": file.seeds})
    report.say(f"run:    mythos study {called(space.source)}", whole=True)
    return report


def trials_table(space: Space, study: optuna.Study, trials: Sequence[FrozenTrial], title: str = "") -> Table:
    """Trials with the means of their objectives over seeds and the values of what varies."""
    objectives, front = list(space.file.objectives), on_front(space, study)
    names, choices = sorted({parameter for trial in trials for parameter in trial.params}), by_position(space.domains)
    size = [] if "cost/params" in objectives else [number("cost/params", form=",.0f", importance=2)]
    taken = {"trial", "cost/params", *objectives}
    columns = [each if each not in taken else f"{each} (varied)" for each in names]
    varied = [
        Column(key, short(each), ".3g", importance=3, folds=True) for key, each in zip(columns, names, strict=True)
    ]
    of_objectives = zip(*(values_by_seed(trial, objectives) for trial in trials), strict=True)
    found = zip(*map(means, of_objectives), strict=True)
    rows = [
        (
            Cell(trial.number, f"{trial.number}{'*' * (trial.number in front)}"),
            *cells,
            *([float(trial.user_attrs.get("cost/params", 0))] if size else []),
            *(_chosen(trial, each, choices) for each in names),
        )
        for trial, cells in zip(trials, found, strict=True)
    ]
    return Table([name("trial"), *map(number, objectives), *size, *varied], rows, title)


def _chosen(trial: FrozenTrial, parameter: str, choices: Mapping[str, Sequence[Any]]) -> Any:
    """What a trial has in a field, which Optuna may know by its position alone; nothing where the field is not."""
    if parameter not in trial.params:
        return nothing()
    value = chosen(trial.params, parameter, choices)
    is_plain = isinstance(value, int | float | str) and not isinstance(value, bool)
    return value if is_plain else Cell(value, json.dumps(value, default=str))


def chosen_values(space: Space, trials: Sequence[FrozenTrial], parameter: str) -> list[float | str | None]:
    """What each trial has in a field: a number, a text, or ``None`` where the field is not."""
    choices = by_position(space.domains)
    cells = [_chosen(trial, parameter, choices) if parameter in trial.params else None for trial in trials]
    return [cell.text if isinstance(cell, Cell) else cell for cell in cells]


def verdict_table(space: Space, found: Mapping[str, Comparison], title: str | None = None) -> Table:
    """Each arm's difference from the first, and what may be said of it."""
    first, several = next(iter(found.values())), bool(space.file.tasks)
    on_the_same = " on the same task" if several else ""
    against = (
        f"{first.metric} against {next(iter(space.file.arms))}{on_the_same}, {first.verdict.num_seeds} paired seeds"
    )
    columns = (
        *([name("task")] if several else []),
        name(ARM),
        number("difference", form="+.3g"),
        number("interval"),
        number("level", form=".4g"),
        number("p", "p (Holm)", ".2g"),
        prose("verdict", importance=1),
        prose("also", "also differs in", importance=2),
    )
    rows = []
    for variant, comparison in found.items():
        v, (arm, _, task) = comparison.verdict, variant.partition(ON)
        rows.append(
            (
                *([task] if several else []),
                arm,
                v.difference,
                interval(v.low, v.high, "+.3g"),
                Cell(v.level, v.shown_level),
                v.p_adjusted,
                Cell(v.outcome, said_of(comparison)),
                Cell(comparison.undeclared, ", ".join(comparison.undeclared) or "nothing undeclared"),
            )
        )
    return Table(columns, rows, against if title is None else title)


def said_of(comparison: Comparison) -> str:
    """What may be said of two arms, in a few words."""
    v = comparison.verdict
    if comparison.ceiling:
        return "at the ceiling"
    if v.outcome != "not enough seeds":
        return v.outcome
    if v.num_seeds == 1:
        return "one seed tells nothing: a scatter takes two at least"
    if not math.isfinite(v.detectable):
        return f"not enough seeds: {v.num_seeds} with the same difference show no scatter; more seeds or samples may"
    return f"{v.outcome} (finds {v.detectable:.2g})"


def called(source: Path) -> str:
    """What a user calls a space: the name of one of ours, or the file."""
    return source.stem if source.parent == data_dir("search_spaces") else str(near(source))


def short(path: str) -> str:
    """A field without the groups that most fields are in."""
    return path.removeprefix("training.").removeprefix("model.").removeprefix("core.")
