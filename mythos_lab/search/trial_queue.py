"""Who runs which trial, and what became of the others; the same on every storage and on any number of machines.

A trial is *settled* when it has come to an end of its own: complete, pruned, vetoed, diverged or failed. As many are
wanted as there are *places*. A trial that its worker left behind is failed with the outcome ``killed`` and queued
again; its retry has its place, which is kept for it meanwhile. A new trial is made only where it has a place
(:mod:`mythos_lab.search.room`); a storage of Optuna's own makes it in any case. Where workers on two machines take the
last place of such a one at once, or a point that was queued twice, the later trial is surplus: failed untrained, and
counted nowhere.

Others may write into the same study with Optuna's own means. What they enqueue is run, or *refused* where it lies
outside the space; what they ask for and tell, or add, is *told*. Neither takes a place.
"""

from __future__ import annotations

import random

import optuna
from optuna.artifacts._upload import ARTIFACTS_ATTR_PREFIX
from optuna.study._tell import _tell_with_warning
from optuna.trial import FrozenTrial, TrialState, create_trial

from mythos_lab.recipe.urls import in_text
from mythos_lab.search.attributes import (
    ATTEMPT,
    BEAT,
    BLAMED,
    MISFIT,
    OUTCOME,
    PLACE,
    POINT,
    REASON,
    RETRY_OF,
    TAKEN,
    WORKER,
)
from mythos_lab.search.room import BELOW, Full, template
from mythos_lab.search.samplers.queue_only import QueueOnly
from mythos_lab.search.trial_states import (
    KILLED,
    QUEUED_PARAMS,
    REFUSED,
    SURPLUS,
    errand_of,
    is_to_retry,
    params_of,
    place_of,
    stands_for_nothing,
)
from mythos_lab.search.wanted import wanted_of
from mythos_lab.tracking.process import identity

MAX_ATTEMPTS = 5
"""Workers that a trial may lose before it is failed: the sixth would be lost as well."""

_LONGEST_REASON = 2000  # a column of a database
_MOST_POPS = 6  # before another look at what waits
_CHANCE = random.SystemRandom()  # whatever a run has seeded
_NOT_PASSED_ON = (OUTCOME, REASON, WORKER, BEAT, TAKEN, POINT, BLAMED, MISFIT)


def take(study: optuna.Study, num_trials: int, seen: list[FrozenTrial] | None = None) -> optuna.Trial | None:
    """A trial to run, or ``None`` where enough are settled or running, or where no point of a grid is waiting.

    Args:
        study: The study.
        num_trials: Trials in all.
        seen: The study's trials as they were a moment ago; ``None`` looks.
    """
    wanted, is_grid = wanted_of(study), isinstance(study.sampler, QueueOnly)
    while True:
        trials, seen = study.get_trials(deepcopy=False) if seen is None else seen, None
        waiting = wanted.waiting(trials)
        if wanted.num_places(trials) >= num_trials or (is_grid and not waiting):
            return None
        number, is_new = _pop(study, waiting), False
        if number is None and not is_grid and (room := wanted.room(trials, num_trials)) > 0:
            number, is_new = _make(study, len(trials) + room), True
        if number is None:
            continue  # others were faster, and what they did is seen with another look
        study._thread_local.cached_all_trials = None  # what samplers remember of the trial before
        trial = optuna.Trial(study, number)
        try:
            if not is_new:
                trial.set_user_attr(WORKER, identity())
            trial.set_user_attr(TAKEN, trial.number)
        except optuna.exceptions.UpdateFinishedTrialError:
            continue  # this process was asleep for so long that another took the trial to be lost
        if is_new and BELOW not in trial._cached_frozen_trial.system_attrs:
            return trial  # its storage held to the bound, so that nobody else can have its place
        trials = study.get_trials(deepcopy=False)
        if wanted.is_doubled(trial, trials):
            settle(study, trial, TrialState.FAIL, SURPLUS)
            continue
        is_queued, own = errand_of(trial) is not None, place_of(trial)
        if is_grid and not is_queued and params_of(trials[trial.number]):
            reason = "a grid comes to each of its points by itself, and runs nothing that is enqueued beside them"
            settle(study, trial, TrialState.FAIL, REFUSED, reason)
            continue
        num_before = sum(place < own for place in wanted.places(trials, kept=True))
        if num_before < num_trials and (is_queued or not is_grid):
            return trial
        if is_queued:  # its place may be free again before long
            hand_back(study, trial, "more were taken at once than are wanted", lost=False)
        else:
            settle(study, trial, TrialState.FAIL, SURPLUS)
            return None


def _pop(study: optuna.Study, waiting: list[FrozenTrial]) -> int | None:
    """The id of one of the trials that waited, which is this worker's now.

    The first is tried first. Each time that somebody was faster, the next is drawn from four times as many: a thousand
    that begin at once would otherwise all try each.
    """
    for attempt in range(min(_MOST_POPS, len(waiting))):
        trial = waiting.pop(_CHANCE.randrange(min(4**attempt, len(waiting))))
        if _claim(study, trial):
            return int(trial._trial_id)
    return None


def _make(study: optuna.Study, below: int) -> int | None:
    """The id of a new trial; ``None`` where others have had the room for it meanwhile."""
    try:
        return int(study._storage.create_new_trial(study._study_id, template(below, {WORKER: identity()})))
    except Full:
        return None


def settle(
    study: optuna.Study,
    trial: FrozenTrial | optuna.Trial,
    state: TrialState,
    outcome: str,
    reason: str = "",
    values: list[float] | None = None,
) -> bool:
    """Tell the study how a trial ended; whether it had not ended before, which another worker may have seen to."""
    try:
        study._storage.set_trial_user_attr(trial._trial_id, OUTCOME, outcome)
        if reason:
            study._storage.set_trial_user_attr(trial._trial_id, REASON, in_text(reason)[:_LONGEST_REASON])
        _tell(study, trial, state, values)
    except (optuna.exceptions.UpdateFinishedTrialError, ValueError):
        if not study._storage.get_trial(trial._trial_id).state.is_finished():
            raise
        return False
    return True


def _tell(
    study: optuna.Study, trial: FrozenTrial | optuna.Trial, state: TrialState, values: list[float] | None
) -> None:
    """What ``study.tell`` does, which asks the storage for the trial's id, and twice more for the trial."""
    told = trial if isinstance(trial, optuna.Trial) else trial.number
    _tell_with_warning(study, told, values, state)


def hand_back(study: optuna.Study, trial: FrozenTrial | optuna.Trial, reason: str, *, lost: bool = True) -> None:
    """Fail a trial that its worker cannot finish, and queue it again to go on from its last checkpoint.

    Failed first: of those who see that a worker is gone, and the worker itself if it is not, one alone gets that far.
    Whoever dies between the two leaves a trial that is :func:`due`.

    Args:
        lost: Whether the trial may be to blame. A worker that was asked to stop, and has saved a checkpoint, does not
            count towards :data:`MAX_ATTEMPTS`: under a time limit a long trial needs many.
    """
    left = study._storage.get_trial(trial._trial_id)
    if left.state.is_finished():
        return
    if errand_of(left) is not None and wanted_of(study).is_doubled(left, study.get_trials(deepcopy=False)):
        settle(study, left, TrialState.FAIL, SURPLUS)
        return
    blamed = lost and bool(left.params)  # of a trial that nobody has looked into nobody can have died
    if int(left.user_attrs.get(ATTEMPT, 0)) + blamed >= MAX_ATTEMPTS:
        settle(study, left, TrialState.FAIL, "failed", f"{MAX_ATTEMPTS} workers were lost with it; last: {reason}")
        return
    try:
        study._storage.set_trial_user_attr(left._trial_id, BLAMED, blamed)
    except optuna.exceptions.UpdateFinishedTrialError:
        return
    if settle(study, left, TrialState.FAIL, KILLED, reason):
        queue_again(study, left)


def queue_again(study: optuna.Study, trial: FrozenTrial) -> None:
    """Queue a killed trial with all that is known of it: parameters, folder, and the reports that pruners go by."""
    left = study._storage.get_trial(trial._trial_id)
    if not is_to_retry(left):
        return
    attempt = int(left.user_attrs.get(ATTEMPT, 0)) + bool(left.user_attrs.get(BLAMED))
    kept = {name: value for name, value in left.user_attrs.items() if name not in _NOT_PASSED_ON}
    left_behind = (BELOW, ARTIFACTS_ATTR_PREFIX)  # the bound that it was made under, and files that are told of again
    system = {name: value for name, value in left.system_attrs.items() if not name.startswith(left_behind)}
    study.add_trial(
        create_trial(
            state=TrialState.WAITING,
            user_attrs={**kept, RETRY_OF: left.number, ATTEMPT: attempt, PLACE: place_of(left)},
            system_attrs={**system, QUEUED_PARAMS: params_of(left)},
            intermediate_values=left.intermediate_values,
        )
    )


def clear_doubles(study: optuna.Study) -> None:
    """Settle trials that wait although another was queued for the same, by two machines that began at once."""
    seen: set[tuple[str, int]] = set()
    for trial in study.get_trials(deepcopy=False):
        if (errand := errand_of(trial)) is None:
            continue
        if errand in seen and trial.state is TrialState.WAITING and _claim(study, trial):
            settle(study, trial, TrialState.FAIL, SURPLUS)
        if not stands_for_nothing(trial):
            seen.add(errand)


def _claim(study: optuna.Study, trial: FrozenTrial) -> bool:
    """Take a waiting trial out of the queue; whether nobody was faster."""
    try:
        return bool(study._storage.set_trial_state_values(trial._trial_id, state=TrialState.RUNNING))
    except optuna.exceptions.UpdateFinishedTrialError:
        return False
