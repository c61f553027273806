"""The Optuna study of a search space: made where it is missing, refused where it was made from another space."""

from __future__ import annotations

import json
import time
import uuid
import warnings
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from mythos_lab.recipe.errors import Misplaced, RecipeError, Unreachable
from mythos_lab.recipe.outputs import write_whole
from mythos_lab.recipe.places import check_own_folder
from mythos_lab.recipe.reading import read_at_most
from mythos_lab.recipe.urls import without_password
from mythos_lab.search.artifacts import declare_artifacts
from mythos_lab.search.attributes import DEFINITION as DEFINITION
from mythos_lab.search.attributes import NUM_TRIALS as NUM_TRIALS
from mythos_lab.search.attributes import OPENED as OPENED
from mythos_lab.search.attributes import POINT, PRUNER, SAMPLER
from mythos_lab.search.attributes import UID as UID
from mythos_lab.search.foreign import Shielded, Strays, are_incompatible
from mythos_lab.search.identity import changes, has_more_choices, meaning_of, recorded
from mythos_lab.search.named import Named
from mythos_lab.search.origin import check_origin
from mythos_lab.search.pruners import NO_PRUNER, make_pruner
from mythos_lab.search.samplers import make_sampler, sampler_settings
from mythos_lab.search.samplers.queue_only import QueueOnly
from mythos_lab.search.spaces.space import Space
from mythos_lab.search.storage import open_storage
from mythos_lab.search.trial_states import is_asked_elsewhere, is_enqueued, is_settled, params_of, stands_for_nothing
from mythos_lab.search.widening import current_name, widen
from mythos_lab.tracking.claim import claimed

_AHEAD = 64  # points of a grid that wait: with each look at the study a database is asked for all that are not finished

MARK, LOCK = "study.json", "study.lock"
"""The file in the study's folder that repeats what no other study has; who begins a study."""

_MAX_MARK = 4096  # bytes
_PATIENCE_SECONDS = 60.0  # for another process that begins the same study
_PAUSES = (1.0, 2.0, 5.0, 10.0, 20.0)  # seconds between a worker's tries to reach the storage


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
    check_own_folder(space.folder, MARK)
    storage = open_storage(space.storage, space.folder)
    _check_folder(space, storage)
    study = _made(space, storage)
    if _define(study, space):
        study = _made(space, storage)
    trials = study.get_trials(deepcopy=False)
    _check_trials(space, trials)
    check_origin(study, space)
    declare_artifacts(space, study, is_new=not trials and NUM_TRIALS not in study.user_attrs)
    study.set_user_attr(SAMPLER, sampler_settings(named, space.facts(num_trials)))
    study.set_user_attr(PRUNER, space.pruner.asdict())
    num_before = sum(trial.state is not TrialState.WAITING for trial in trials)
    if study.metric_names is None:
        study.set_metric_names(list(space.file.objectives))
    sampler = make_sampler(
        named,
        space.facts(num_trials),
        seed=space.file.seed,
        worker=worker,
        num_before=num_before,
        priors=space.priors,
    )
    study.sampler = sampler if isinstance(sampler, QueueOnly) else Shielded(sampler, space)
    return study


def join_study(space: Space, num_trials: int, worker: int) -> optuna.Study:
    """The study, for a worker of it: a database that restarts is back within a minute, for whoever comes meanwhile too.

    Args:
        space: The search space.
        num_trials: Trials in all.
        worker: Which of the study's workers asks.

    Raises:
        RecipeError: As of :func:`open_study`.
    """
    for pause in _PAUSES:
        try:
            return open_study(space, num_trials, worker)
        except Unreachable:
            time.sleep(pause)
    return open_study(space, num_trials, worker)


def _made(space: Space, storage: BaseStorage) -> optuna.Study:
    return optuna.create_study(
        study_name=current_name(storage, space.file.name),
        storage=storage,
        directions=list(space.file.objectives.values()),
        # A guard's pruner is asked beside Optuna, and would keep trials from the sampler if it were the study's own.
        pruner=make_pruner(Named(NO_PRUNER) if space.file.guard else space.pruner),
        load_if_exists=True,
    )


def find_study(space: Space) -> optuna.Study:
    """The study of a space, as it stands: nothing is written, and no trial can be drawn.

    Raises:
        RecipeError: There is none yet, or the storage cannot be opened, or holds one that was made from another space.
    """
    _quiet()
    check_own_folder(space.folder, MARK)
    missing = RecipeError(f"{space.source}: the study {space.file.name!r} has not been begun; mythos study does")
    if space.storage is None and not space.folder.is_dir():
        raise missing
    try:
        storage = open_storage(space.storage, space.folder)
        name = current_name(storage, space.file.name)
        study = optuna.load_study(study_name=name, storage=storage, sampler=QueueOnly())
    except KeyError:
        raise missing from None
    _check_definition(study, space)
    _check_trials(space, study.get_trials(deepcopy=False))
    declare_artifacts(space, study, is_new=False)
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


def enqueue_grid(study: optuna.Study, space: Space, num_trials: int, num_workers: int = 1) -> int:
    """Queue the next points of a grid where few wait, and say how many; called again and again by who watches."""
    if space.sampler(num_trials)[0].kind != "grid":
        return 0
    assert space.points is not None, "a grid's sampler was accepted"
    trials, ahead = study.get_trials(deepcopy=False), max(_AHEAD, 4 * num_workers)
    num_waiting = sum(trial.state is TrialState.WAITING for trial in trials)
    if num_waiting > ahead // 2:
        return 0
    there = {_key(params_of(trial)) for trial in trials if _is_point(trial)}
    missing = (i for i, point in enumerate(space.points) if _key(point) not in there)
    chosen = list(islice(missing, ahead - num_waiting))
    for i in chosen:
        study.enqueue_trial(space.points[i], user_attrs={POINT: i})
    return len(chosen)


def _is_point(trial: FrozenTrial) -> bool:
    """Whether a trial comes, or came, to a point, so that no other need be queued for it."""
    if is_enqueued(trial):  # and will be refused
        return False
    return not stands_for_nothing(trial) and not is_asked_elsewhere(trial)


def num_repeats(study: optuna.Study, space: Space) -> int:
    """How many settled trials are no further points of a grid: a sampler drew them, before the grid was wanted."""
    settled = [_key(params_of(t)) for t in study.get_trials(deepcopy=False) if is_settled(t)]
    return len(settled) - len(set(settled) & set(map(_key, space.points or ())))


def _key(params: Mapping[str, Any]) -> frozenset[tuple[str, Any]]:
    """Parameters as they are compared: a step's multiples differ in their last bits, however they were come by."""
    return frozenset((n, float(f"{v:.12g}") if isinstance(v, float) else (v, type(v))) for n, v in params.items())


def _check_folder(space: Space, storage: BaseStorage) -> None:
    """Refuse a folder that holds a study which is not in the storage."""
    mark = _mark_in(space.folder)
    if mark is None:
        return
    try:
        study_id = storage.get_study_id_from_name(current_name(storage, space.file.name))
    except KeyError:
        found = None
    else:
        found = storage.get_study_user_attrs(study_id).get(UID)
    if found != mark:
        where = without_password(space.storage) if space.storage else "its journal"
        raise RecipeError(
            f"{space.source}: {space.folder} holds the trials of a study {space.file.name!r} that is not in {where}; "
            "name its --storage, give this study another name, or move that folder away"
        )


def _mark_in(folder: Path) -> str | None:
    try:
        return str(json.loads(read_at_most(folder / MARK, _MAX_MARK, "mark of a study"))[UID])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise RecipeError(
            f"{folder / MARK}: damaged; it says which study the folder is of, and may be deleted"
        ) from None


def _define(study: optuna.Study, space: Space) -> bool:
    """Write down what a new study means and whose its folder is; hold one that was begun against both.

    Returns:
        Whether it goes on elsewhere, with more choices or with distributions of its own.
    """
    now = json.dumps(meaning_of(space))
    trials = study.get_trials(deepcopy=False)
    if _mark_in(space.folder) is not None and study.user_attrs.get(DEFINITION) == now:
        if not are_incompatible(space, trials):
            return False
    space.folder.mkdir(parents=True, exist_ok=True)
    with claimed(space.folder / LOCK, _PATIENCE_SECONDS):
        before, goes_on = study.user_attrs.get(DEFINITION), False
        if before is None:
            if trials:
                raise _of_other_origin(space, study)
            study.set_user_attr(UID, uuid.uuid4().hex)
            study.set_user_attr(DEFINITION, now)
        elif before != now:
            _check_definition(study, space)
            if goes_on := has_more_choices(recorded(before), json.loads(now)):
                widen(space, study, {DEFINITION: now})
            else:
                study.set_user_attr(DEFINITION, now)
        elif goes_on := are_incompatible(space, trials):
            widen(space, study, {})
        if _mark_in(space.folder) is None:
            write_whole(space.folder / MARK, json.dumps({UID: study.user_attrs[UID]}))
    return goes_on


def _of_other_origin(space: Space, study: optuna.Study) -> RecipeError:
    ours = NUM_TRIALS in study.user_attrs
    made = "that an earlier release began, which wrote down otherwise what it means" if ours else "of other origin"
    return RecipeError(
        f"{space.source}: name: the storage has a study {space.file.name!r} {made}; give this one another name, or "
        "another storage"
    )


def _check_trials(space: Space, trials: Sequence[FrozenTrial]) -> None:
    """Refuse a study in which a trial of its own is no candidate of its space, so that it was put there."""
    odd = Strays(space)
    for trial in trials:
        if trial.state is TrialState.COMPLETE and is_settled(trial) and (reason := odd(trial)) is not None:
            raise Misplaced(
                f"{space.source}: trial {trial.number}, as the storage has it, is none of the study's: {reason}"
            )


def _check_definition(study: optuna.Study, space: Space) -> None:
    """Refuse a study that was begun as another one, in a line that says what differs."""
    if (before := study.user_attrs.get(DEFINITION)) is None:
        raise _of_other_origin(space, study)
    if changed := changes(recorded(before), json.loads(json.dumps(meaning_of(space)))):
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise RecipeError(
            f"{space.source}: the study {space.file.name!r} was begun with another {'; '.join(changed[:3])}{more}; "
            "give it another name, or put that back"
        )
