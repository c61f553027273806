"""A study that goes on with more to choose from than it began with, or with what others have put there set aside.

Optuna keeps the choices of a categorical parameter with every trial, and lets a study have one set of them. So the
study goes on in another one of the same storage, which has the same trials with all the choices; the old one says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from mythos_lab.recipe.errors import Misplaced, RecipeError
from mythos_lab.search.attributes import SUCCESSOR
from mythos_lab.search.foreign import in_terms_of
from mythos_lab.search.notes import copy_notes
from mythos_lab.search.spaces.space import Space


def current_name(storage: BaseStorage, name: str) -> str:
    """What Optuna calls a study that may have been widened.

    Raises:
        Misplaced: It goes on in a circle.
    """
    seen = set[str]()
    while name not in seen:
        seen.add(name)
        try:
            successor = storage.get_study_user_attrs(storage.get_study_id_from_name(name)).get(SUCCESSOR)
        except KeyError:
            return name
        if successor is None:
            return name
        name = successor
    raise Misplaced(f"storage: the study {name!r} goes on as itself; take its attribute {SUCCESSOR!r} away")


def widen(space: Space, study: optuna.Study, attrs: Mapping[str, Any]) -> None:
    """Have a study go on in one that has the distributions of a space.

    Whoever dies meanwhile leaves the old one as it was: it names the new one when that is complete.

    Args:
        space: The widened space.
        study: The study so far.
        attrs: Attributes that the new one has in place of the old one's.

    Raises:
        RecipeError: Trials run, whose workers know the old one.
    """
    trials = study.get_trials(deepcopy=False)
    if running := [str(trial.number) for trial in trials if trial.state is TrialState.RUNNING]:
        raise RecipeError(
            f"{space.source}: the study {space.file.name!r} gets other choices, and trials of it run; let them end "
            f"first: {', '.join(running[:9])}"
        )
    base, _, generation = study.study_name.partition("~")
    name = f"{base}~{int(generation or 1) + 1}"
    if name in optuna.get_all_study_names(study._storage):
        optuna.delete_study(study_name=name, storage=study._storage)
    wide = optuna.create_study(study_name=name, storage=study._storage, directions=study.directions)
    if study.metric_names is not None:
        wide.set_metric_names(study.metric_names)
    wide.add_trials([in_terms_of(space, trial) for trial in trials])
    copy_notes(study, wide, trials)
    for key, value in {**study.user_attrs, **attrs}.items():
        wide.set_user_attr(key, value)
    study.set_user_attr(SUCCESSOR, name)
