"""Where a trial's runs lie: the study keeps the name, and its folder the files."""

from __future__ import annotations

from pathlib import Path

import optuna
from optuna.trial import FrozenTrial

from mythos_lab.recipe.places import inside
from mythos_lab.search.attributes import FOLDER
from mythos_lab.search.spaces.space import Space
from mythos_lab.training.result import RESULT


def folder_of(space: Space, trial: FrozenTrial | optuna.Trial) -> Path:
    """The folder of a trial's runs, one a seed.

    Raises:
        Misplaced: What the store has is no place below the study's folder, or a link on its way leads out of it.
    """
    return inside(space.folder, trial.user_attrs.get(FOLDER), f"{space.source}: trial {trial.number}: its folder")


def run_folder(space: Space, trial: FrozenTrial | optuna.Trial, seed: int) -> Path:
    """The folder of a trial's run with a seed; errors are those of :func:`folder_of`."""
    folder = folder_of(space, trial)
    return inside(folder, f"seed-{seed}", f"{space.source}: trial {trial.number}: its folder")


def first_run(space: Space, trial: FrozenTrial | optuna.Trial) -> Path | None:
    """The folder of a trial's run with the first seed; ``None`` where it has not ended, or is not on this machine."""
    if FOLDER not in trial.user_attrs:
        return None
    runs = {path.parent.name.removeprefix("seed-"): path.parent for path in folder_of(space, trial).glob(f"*/{RESULT}")}
    first = min((int(seed) for seed in runs if seed.isdecimal()), default=None)
    return None if first is None else runs[str(first)]
