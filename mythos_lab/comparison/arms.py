"""What a study of declared arms found: each against the first, by paired seeds, corrected for how many there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import optuna
from optuna.trial import FrozenTrial

from mythos_lab.comparison.compare import Comparison, Direction, compare_arms, corrected
from mythos_lab.comparison.inputs import Arm, read_arm
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.search.artifacts import bring_runs
from mythos_lab.search.attributes import OUTCOME, REASON
from mythos_lab.search.spaces.definition import ON
from mythos_lab.search.spaces.space import ARM, Space
from mythos_lab.search.standing import complete
from mythos_lab.search.trial_states import is_settled

_FOLLOW = {
    "training.max_steps": ("steps", "tokens seen", "learning rate curve"),
    "training.batch_size": ("batch size", "tokens seen", "data order"),
    "training.batch_warmup": ("batch size", "tokens seen"),
    "training.optimizer.lr": ("learning rate curve",),
}
"""Inputs that differ because a field of the training does, and are declared with it."""


def verdicts(space: Space, study: optuna.Study) -> dict[str, Comparison]:
    """The verdict on each arm that was trained to its end, by name, against the first; none without it, or of one seed.

    With several tasks it is a verdict on each arm on each task, by ``arm@task``, against the first arm on that task.

    What an arm declares to change may differ, and what the study's file declares besides, and sizes that were solved
    for to hold a budget; "better" is withheld while anything else does. Arms that did not get there are among those
    that are corrected for: :func:`without_verdict` names them.
    """
    file, done = space.file, {trial.params[ARM]: trial for trial in complete(study) if ARM in trial.params}
    others = [name for name in file.variants if name in done and file.reference(name) in set(done) - {name}]
    if file.space or file.seeds < 2 or not others:
        return {}
    metric, better = objective(space)
    references = {name: arm_of(space, done[name]) for name in {file.reference(name) for name in others}}
    found = [
        compare_arms(
            references[file.reference(name)],
            arm_of(space, done[name]),
            metric,
            declared(space, name),
            file.matters,
            better,
        )
        for name in others
    ]
    return dict(zip(others, corrected(found, file.matters, file.num_verdicts), strict=True))


T = TypeVar("T")


def by_task(space: Space, found: Mapping[str, T]) -> dict[str, dict[str, T]]:
    """What is known of arms, by task and then by arm; under the empty name where the study's file names no tasks."""
    if not space.file.tasks:
        return {"": dict(found)}
    parted: dict[str, dict[str, T]] = {task: {} for task in space.file.tasks}
    for name, value in found.items():
        arm, _, task = name.partition(ON)
        parted[task][arm] = value
    return parted


def without_verdict(space: Space, study: optuna.Study) -> dict[str, str]:
    """Declared arms that were not trained to their end with every seed, by name, and what became of them."""
    if space.file.space:
        return {}
    settled = {t.params[ARM]: t for t in study.get_trials(deepcopy=False) if is_settled(t) and ARM in t.params}
    done = {trial.params[ARM] for trial in complete(study)}
    return {
        name: f"{trial.user_attrs.get(OUTCOME)}: {trial.user_attrs.get(REASON, '')}".rstrip(": ")
        if trial.user_attrs.get(OUTCOME) != "complete"
        else "does not meet its constraints"
        for name, trial in settled.items()
        if name not in done
    }


def objective(space: Space) -> tuple[str, Direction]:
    """The metric that arms are judged by, and which way the study says that it is better."""
    metric, direction = next(iter(space.file.objectives.items()))
    return metric, "higher" if direction == "maximize" else "lower"


def values_by_arm(study: optuna.Study) -> dict[str, float]:
    """The first objective of each arm that was trained to its end."""
    return {trial.params[ARM]: trial.values[0] for trial in complete(study)}


def arm_of(space: Space, trial: FrozenTrial) -> Arm:
    """The runs of a trial, one a seed."""
    return read_arm(folders_of(space, trial))


def folders_of(space: Space, trial: FrozenTrial) -> list[Path]:
    """The folders of a trial's runs, one a seed, brought here where they are kept elsewhere."""
    folder = bring_runs(space, trial)
    if not (folders := sorted(folder.glob("seed-*"))):
        raise RecipeError(
            f"{folder}: holds no runs; studies are read where they were run, on a shared disk, or by --artifacts"
        )
    return folders


def declared(space: Space, name: str) -> Sequence[str]:
    """The inputs in which an arm may differ from the first."""
    variants = space.file.variants
    changed = [
        *variants[space.file.reference(name)],
        *variants[name],
        *(space.file.hold.paths if space.file.hold is not None else []),
    ]
    return [*changed, *(name for path in changed for name in _FOLLOW.get(path, ())), *space.file.declared]
