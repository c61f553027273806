"""The Optuna study of a search space: made where it is missing, refused where it was made from another space."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from itertools import islice
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from mythos_lab.recipe.differences import differences
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.search.named import Named
from mythos_lab.search.origin import check_origin
from mythos_lab.search.pruners import NO_PRUNER, make_pruner
from mythos_lab.search.samplers import make_sampler, sampler_settings
from mythos_lab.search.samplers.queue_only import QueueOnly
from mythos_lab.search.spaces.space import Space
from mythos_lab.search.storage import open_storage
from mythos_lab.search.trial_queue import POINT, is_settled, is_surplus, params_of

_AHEAD = 64  # points of a grid that wait: with each look at the study a database is asked for all that are not finished

NUM_TRIALS = "num_trials"
"""Study attribute: how many trials it was last begun, or gone on with, for."""

OPENED = "holdout_opened"
"""Study attribute: when its holdout was opened, after which it takes no further trials."""

DEFINING = ("recipe", "overrides", "space", "arms", "constraints", "hold", "objectives", "seeds")
"""Fields of a study's file without which a trial's numbers would mean something else."""

DEFINITION = "definition"
"""Study attribute: everything that decides what a trial's numbers mean."""


def open_study(space: Space, num_trials: int | None = None, worker: int = 0) -> optuna.Study:
    """The study of a space.

    Args:
        num_trials: Trials in all, by which samplers find their pace.
        worker: Which worker asks; each samples from a seed of its own.

    Raises:
        RecipeError: The storage cannot be opened, or holds a study of that name that was made from another space, on
            other data or with other code.
    """
    _quiet()
    num_trials = num_trials or space.num_trials()
    named, _ = space.sampler(num_trials)
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
    check_origin(study, space)
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


def find_study(space: Space) -> optuna.Study:
    """The study of a space, as it stands: nothing is written, and no trial can be drawn.

    Raises:
        RecipeError: There is none yet, or the storage cannot be opened, or holds one that was made from another space.
    """
    _quiet()
    missing = RecipeError(f"{space.source}: the study {space.file.name!r} has not been begun; mythos study does")
    if space.storage is None and not space.folder.is_dir():
        raise missing
    try:
        study = optuna.load_study(
            study_name=space.file.name, storage=open_storage(space.storage, space.folder), sampler=QueueOnly()
        )
    except KeyError:
        raise missing from None
    _check_definition(study, study.get_trials(deepcopy=False), space)
    return study


def refuse_after_opening(space: Space, study: optuna.Study) -> None:
    """Refuse further trials of a study whose holdout is open.

    Raises:
        RecipeError: It is.
    """
    if (opened := study.user_attrs.get(OPENED)) is not None:
        raise RecipeError(
            f"{space.source}: the study {space.file.name!r} opened its holdout on {opened['at']}; "
            "what is searched now is searched by it, so begin another study"
        )


def _quiet() -> None:
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def enqueue_grid(study: optuna.Study, space: Space, num_trials: int, num_workers: int = 1) -> None:
    """Queue the next points of a grid where few are waiting; called again and again by who watches over the study."""
    if space.sampler(num_trials)[0].kind != "grid":
        return
    assert space.points is not None, "a grid's sampler was accepted"
    trials, ahead = study.get_trials(deepcopy=False), max(_AHEAD, 4 * num_workers)
    num_waiting = sum(trial.state is TrialState.WAITING for trial in trials)
    if num_waiting > ahead // 2:
        return
    there = {_key(params_of(trial)) for trial in trials if not is_surplus(trial)}
    missing = (i for i, point in enumerate(space.points) if _key(point) not in there)
    for i in islice(missing, ahead - num_waiting):
        study.enqueue_trial(space.points[i], user_attrs={POINT: i})


def num_repeats(study: optuna.Study, space: Space) -> int:
    """How many settled trials are no further points of a grid: a sampler drew them, before the grid was wanted."""
    settled = [_key(params_of(t)) for t in study.get_trials(deepcopy=False) if is_settled(t)]
    return len(settled) - len(set(settled) & set(map(_key, space.points or ())))


def _key(params: Mapping[str, Any]) -> frozenset[tuple[str, Any]]:
    """Parameters as they are compared: a step's multiples differ in their last bits, however they were come by."""
    return frozenset((n, float(f"{v:.12g}") if isinstance(v, float) else (v, type(v))) for n, v in params.items())


def _check_definition(study: optuna.Study, trials: list[FrozenTrial], space: Space) -> None:
    now = {**space.file.model_dump(mode="json", include=set(DEFINING)), "composed": _plain(space.base)}
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
