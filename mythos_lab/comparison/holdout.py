"""The locked holdout: the test split, which no run reads, and which a study opens once.

What a search chose is better on the validation split than it will be elsewhere, because it was chosen there. The test
split tells by how much, as long as nothing is chosen by it; so a study that has opened it takes no further trials.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from mythos_lab.comparison.arms import arm_of, declared, objective
from mythos_lab.comparison.compare import Comparison, compare_arms, corrected
from mythos_lab.comparison.inputs import Arm
from mythos_lab.measures.evaluate import evaluate
from mythos_lab.measures.tally import Interval
from mythos_lab.recipe import RecipeError
from mythos_lab.recipe.errors import Misplaced
from mythos_lab.search.attributes import NUM_TRIALS, OPENED, RESULTS
from mythos_lab.search.spaces.space import ARM, Space
from mythos_lab.search.standing import best_first, complete, front
from mythos_lab.search.trial_states import is_asked_elsewhere, is_settled
from mythos_lab.tracking.claim import claimed
from mythos_lab.training.result import load_run

Results = Mapping[int, Mapping[int, Mapping[str, float]]]
"""Metrics by trial and seed."""


@dataclass(frozen=True)
class Holdout:
    """What the test split said.

    Attributes:
        opened: When it was opened.
        before: Whether that was before this call.
        metrics: Test metrics by trial and seed.
        intervals: Their 95 % intervals over samples, by trial and seed.
        validation: What the same runs had come to before, by trial and seed.
        names: What each trial is called: its arm, or its number.
        verdicts: Of arms, each against the first, corrected by Holm's method.
    """

    opened: str
    before: bool
    metrics: Results
    intervals: Mapping[int, Mapping[int, Mapping[str, Interval]]]
    validation: Results
    names: dict[int, str]
    verdicts: dict[str, Comparison]


def open_holdout(space: Space, study: optuna.Study) -> Holdout:
    """Evaluate what a study chose on the test split: all arms, the best trial, or the front. The first call opens it.

    Raises:
        RecipeError: The study is not finished, nothing was trained to its end, or the task has no test split.
        InUse: Another process is opening it.
    """
    space.folder.mkdir(parents=True, exist_ok=True)  # on a machine to which its runs are brought
    with claimed(space.folder / "holdout.lock"):
        return _opened(space, study)


def _opened(space: Space, study: optuna.Study) -> Holdout:
    before, trials = study.user_attrs.get(OPENED), study.get_trials(deepcopy=False)
    if before is None:
        check_finished(space, study)
        numbers = [trial.number for trial in chosen(space, study)]
        if not numbers:
            raise RecipeError(f"{space.source}: no trial was trained to its end; nothing to hold out for")
    else:
        numbers = before["trials"]
        _check_kept(space, study, len(trials), numbers)
    arms = {number: arm_of(space, trials[number]) for number in numbers}
    if before is None:
        _check_readable(space, arms.values())
        # Written first: whoever is interrupted here has opened it, and goes on with the same trials.
        before = {"at": time.strftime("%Y-%m-%d %H:%M"), "trials": numbers}
        study.set_user_attr(OPENED, before)
    if not (repeated := RESULTS in study.user_attrs):
        study.set_user_attr(RESULTS, {str(n): _measured(arm) for n, arm in arms.items()})
    kept = study.user_attrs[RESULTS]
    metrics, intervals = (
        {int(n): {int(seed): found[what] for seed, found in seeds.items()} for n, seeds in kept.items()}
        for what in ("metrics", "intervals")
    )
    names = {n: str(trials[n].params.get(ARM, f"trial {n}")) for n in metrics}
    validation = {n: arm.metrics for n, arm in arms.items()}
    return Holdout(
        before["at"], repeated, metrics, intervals, validation, names, _verdicts(space, arms, metrics, names)
    )


def _check_kept(space: Space, study: optuna.Study, num_trials: int, numbers: list[int]) -> None:
    """Refuse what the storage has of an opening that no opening has written.

    Raises:
        Misplaced: It names trials that there are not, or results of others.
    """
    measured = study.user_attrs.get(RESULTS, {str(n): None for n in numbers})
    if any(n >= num_trials for n in numbers) or set(measured) != set(map(str, numbers)):
        raise Misplaced(
            f"{space.source}: the storage has an opening of other trials than the study {space.file.name!r} has"
        )


def chosen(space: Space, study: optuna.Study) -> list[FrozenTrial]:
    """The trials that a study chose: all arms, the best trial, or the front."""
    if space.file.arms:
        return complete(study)
    if len(space.file.objectives) > 1:
        return front(study)
    return best_first(space, study)[:1]


def check_finished(space: Space, study: optuna.Study) -> None:
    """Refuse a study that goes on: what it would choose is not known yet.

    Raises:
        RecipeError: It does.
    """
    trials, wanted = study.get_trials(deepcopy=False), study.user_attrs.get(NUM_TRIALS, 0)
    settled = sum(map(is_settled, trials))
    running = sum(t.state is TrialState.RUNNING and not is_asked_elsewhere(t) for t in trials)
    if settled < wanted or running:
        raise RecipeError(
            f"{space.source}: {settled} of {wanted} trials have ended and {running} run; the holdout is opened at the "
            f"end: go on with mythos study, or end it there with --trials {max(settled, 1)}"
        )


def _check_readable(space: Space, arms: Iterable[Arm]) -> None:
    """Refuse before anything is opened what could not be evaluated."""
    for folder in (folder for arm in arms for folder in arm.folders.values()):
        task = load_run(folder)[2]
        if not task.size("test"):
            raise RecipeError(f"{space.source}: the task {task.kind!r} has no test split: its test_size is 0")


def _measured(arm: Arm) -> dict[str, dict[str, Any]]:
    """Metrics and intervals by seed."""
    found: dict[str, dict[str, Any]] = {}
    for seed, folder in arm.folders.items():
        recipe, model, task = load_run(folder)
        scores = evaluate(model, task, recipe, split="test")
        intervals = scores.intervals()
        metrics = {name: value for name, value in scores.metrics().items() if name.startswith("val/")}
        found[str(seed)] = {"metrics": _of_test(metrics), "intervals": _of_test(intervals)}
    return found


def _of_test(measured: Mapping[str, Any]) -> dict[str, Any]:
    return {name.replace("val/", "test/"): value for name, value in measured.items()}


def _verdicts(
    space: Space, arms: Mapping[int, Arm], metrics: Results, names: Mapping[int, str]
) -> dict[str, Comparison]:
    """Verdicts of declared arms on the first objective's counterpart on the test split, where it has one."""
    metric, better = objective(space)
    metric = metric.replace("val/", "test/")
    numbers = {name: n for n, name in names.items() if n in arms}
    against = {n: numbers.get(space.file.reference(names[n])) for n in arms} if space.file.arms else {}
    others = [n for n, first in against.items() if first is not None and first != n]
    if space.file.space or not others or any(metric not in m for s in metrics.values() for m in s.values()):
        return {}
    read = {
        n: replace(arm, metrics={seed: dict(values) for seed, values in metrics[n].items()}) for n, arm in arms.items()
    }
    found = [
        compare_arms(read[first], read[n], metric, declared(space, names[n]), space.file.matters, better)
        for n, first in against.items()
        if first is not None and first != n
    ]
    family = space.file.num_verdicts
    return {names[n]: c for n, c in zip(others, corrected(found, space.file.matters, family), strict=True)}
