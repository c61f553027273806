"""What a search found: its trials, what led to which value, and which fields mattered."""

from __future__ import annotations

from collections.abc import Sequence

import optuna
from optuna.trial import FrozenTrial

from mythos_lab.comparison.importance import importances
from mythos_lab.comparison.table import chosen_values, short, trials_table
from mythos_lab.report.page import Axis, Figure, Intervals, Parallel, Points, Section, Tabled
from mythos_lab.report.page.page import Part
from mythos_lab.report.page.parallel import MOST_LINES
from mythos_lab.report.table import name, number
from mythos_lab.search.spaces.space import Space
from mythos_lab.search.standing import complete, front

_MOST_TRIALS, _FEWEST_FOR_IMPORTANCE = 10_000, 4
_LEADING = 10  # one trial in so many stands out


def search_section(space: Space, study: optuna.Study, done: Sequence[FrozenTrial]) -> Section:
    """Trials, their history or front, and through which values of what varies their lines go."""
    if not done:
        return Section("Trials", ["No trial was trained to its end and meets its constraints."])
    parts: list[Part] = [Tabled("trials", trials_table(space, study, done))]
    objectives = list(space.file.objectives)
    trials = sorted(complete(study), key=lambda trial: trial.number)[:_MOST_TRIALS]
    if len(trials) < 2:
        return Section("Trials", parts)
    labels, numbers = [str(t.number) for t in trials], [float(t.number) for t in trials]
    if len(objectives) == 1:
        sign = -1 if space.file.objectives[objectives[0]] == "maximize" else 1
        values = [trial.values[0] for trial in trials]
        ranked = sorted(trials, key=lambda trial: sign * trial.values[0])
        least = ranked[max(1, len(trials) // _LEADING) - 1].values[0]
        leading = {t.number for t in trials if sign * t.values[0] <= sign * least}  # those that tie with it too
        meaning = "the best" if len(leading) == 1 else f"the best {len(leading)}"
        best, leads = float("inf"), []
        for value in values:
            leads.append(sign * value < best)
            best = min(best, sign * value)
        chart = Points("trial", objectives[0], labels, numbers, values, leads, "best so far", "other trials")
        parts.append(Figure("history", f"{objectives[0]} of each trial, in the order in which they were drawn.", chart))
    else:
        leading, meaning = {trial.number for trial in front(study)}, "on the front"
        x, y = ([trial.values[i] for trial in trials] for i in (0, 1))
        out = [trial.number in leading for trial in trials]
        chart = Points(objectives[0], objectives[1], labels, x, y, out, meaning, "beaten in both", joined=False)
        parts.append(Figure("front", f"{objectives[1]} against {objectives[0]}, a point a trial.", chart))
    return Section("Trials", [*parts, *_parallel(space, trials, leading, meaning)])


def importance_section(space: Space, study: optuna.Study, done: Sequence[FrozenTrial]) -> Section:
    """Which fields mattered, and which cannot be told from noise."""
    if len(space.file.objectives) > 1 or len(done) < _FEWEST_FOR_IMPORTANCE or space.file.arms:
        return Section("What mattered", [])
    if not (found := importances(study)):
        return Section("What mattered", [])
    none: list[float | None] = [None] * len(found)
    p, told = number("p", form=".2f"), name("told", "")
    more = (
        (p, [each.p for each in found]),
        (told, ["" if each.is_told else "not told from noise" for each in found]),
    )
    shares = [each.share for each in found]
    fields = [short(each.field) for each in found]
    chart = Intervals("importance (share)", fields, shares, none, none, more=more, is_signed=False)
    rest = f"Importances rest on {len(done)} trials: PED-ANOVA, p against values shuffled among them."
    return Section("What mattered", [Figure("importances", rest, chart)])


def _parallel(space: Space, trials: Sequence[FrozenTrial], leading: set[int], meaning: str) -> list[Figure]:
    """A line a trial through its values and objectives; nothing where one field varies or none."""
    fields = sorted({field for trial in trials for field in trial.params})
    if len(fields) < 2 or len(trials) < 2:
        return []
    axes = [_axis(short(field), chosen_values(space, trials, field), _is_log(trials, field)) for field in fields]
    axes += [Axis(o, [trial.values[i] for trial in trials]) for i, o in enumerate(space.file.objectives)]
    out = [trial.number in leading for trial in trials]
    chart = Parallel(axes, [str(trial.number) for trial in trials], out, meaning, "other trials")
    more = f"; {MOST_LINES} of {len(trials)} are drawn" if len(trials) > MOST_LINES else ""
    return [Figure("parallel", f"Parallel coordinates: what each trial had, and what it came to{more}.", chart)]


def _axis(label: str, values: Sequence[float | str | None], is_log: bool) -> Axis:
    if all(value is None or isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return Axis(label, values, is_log=is_log)
    texts = [None if value is None else str(value) for value in values]
    return Axis(label, texts, sorted({text for text in texts if text is not None}))


def _is_log(trials: Sequence[FrozenTrial], field: str) -> bool:
    drawn = next(trial.distributions[field] for trial in trials if field in trial.params)
    return bool(getattr(drawn, "log", False))
