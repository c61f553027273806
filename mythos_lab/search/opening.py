"""The Optuna study of a search space: made where it is missing, refused where it was made from another space."""

from __future__ import annotations

import json
import warnings
from itertools import islice
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from mythos_lab.recipe.errors import RecipeError
from mythos_lab.search.comparison.inputs import differences
from mythos_lab.search.ledger import POINT
from mythos_lab.search.named import Named
from mythos_lab.search.pruners import NO_PRUNER, make_pruner
from mythos_lab.search.samplers import make_sampler, sampler_settings
from mythos_lab.search.spaces.space import Space
from mythos_lab.search.storage import open_storage

_AHEAD = 64  # points of a grid that wait: with each look at the study a database is asked for all that are not finished

DEFINITION = "definition"
"""Study attribute: everything that decides what a trial's numbers mean."""


def open_study(space: Space, num_trials: int | None = None, worker: int = 0) -> optuna.Study:
    """The study of a space.

    Args:
        num_trials: Trials in all, by which samplers find their pace.
        worker: Which worker asks; each samples from a seed of its own.

    Raises:
        RecipeError: The storage cannot be opened, or holds a study of that name that was made from another space.
    """
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    num_trials = num_trials or space.num_trials()
    study = optuna.create_study(
        study_name=space.file.name,
        storage=open_storage(space.storage, space.folder),
        directions=list(space.file.objectives.values()),
        # A guard's pruner is asked beside Optuna, and would keep trials from the sampler if it were the study's own.
        pruner=make_pruner(Named(NO_PRUNER) if space.file.guard else space.pruner),
        load_if_exists=True,
    )
    trials = study.get_trials(deepcopy=False)
    _check_definition(study, trials, space)
    named, _ = space.sampler(num_trials)
    study.set_user_attr("sampler", sampler_settings(named, space.facts(num_trials)))
    study.set_user_attr("pruner", space.pruner.asdict())
    num_before = sum(trial.state is not TrialState.WAITING for trial in trials)
    study.sampler = make_sampler(
        named,
        space.facts(num_trials),
        seed=space.file.seed,
        worker=worker,
        num_before=num_before,
        priors=space.priors,
    )
    return study


def enqueue_grid(study: optuna.Study, space: Space, num_trials: int, num_workers: int = 1) -> None:
    """Queue the next points of a grid where few are waiting; called again and again by who watches over the study."""
    if space.sampler(num_trials)[0].kind != "grid":
        return
    assert space.points is not None, "a grid's sampler was accepted"
    trials, ahead = study.get_trials(deepcopy=False), max(_AHEAD, 4 * num_workers)
    num_waiting = sum(trial.state is TrialState.WAITING for trial in trials)
    if num_waiting > ahead // 2:
        return
    there = {trial.user_attrs.get(POINT) for trial in trials}
    missing = (i for i in range(len(space.points)) if i not in there)
    for i in islice(missing, ahead - num_waiting):
        study.enqueue_trial(space.points[i], user_attrs={POINT: i})


def _check_definition(study: optuna.Study, trials: list[FrozenTrial], space: Space) -> None:
    kept = ("recipe", "overrides", "space", "arms", "constraints", "hold", "objectives", "seeds")
    now = {**space.file.model_dump(mode="json", include=set(kept)), "composed": _plain(space.base)}
    before = study.user_attrs.get(DEFINITION)
    if before is None:
        if trials:
            raise RecipeError(f"{space.source}: name: the storage has a study {space.file.name!r} of other origin")
        study.set_user_attr(DEFINITION, json.dumps(now))
    elif changed := [path for path, _, _ in differences(json.loads(before), now)]:
        raise RecipeError(
            f"{space.source}: the study {space.file.name!r} was begun with another {', '.join(changed[:3])}; "
            "give it another name, or put that back"
        )


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))
