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
from typing import Any
from weakref import WeakKeyDictionary

import optuna
from optuna.artifacts._upload import ARTIFACTS_ATTR_PREFIX
from optuna.study._tell import _tell_with_warning
from optuna.trial import FrozenTrial, TrialState, create_trial

from mythos_lab.recipe.urls import in_text
from mythos_lab.search.attributes import ATTEMPT as ATTEMPT
from mythos_lab.search.attributes import BEAT as BEAT
from mythos_lab.search.attributes import BLAMED as BLAMED
from mythos_lab.search.attributes import FOLDER as FOLDER
from mythos_lab.search.attributes import MISFIT
from mythos_lab.search.attributes import OUTCOME as OUTCOME
from mythos_lab.search.attributes import PLACE as PLACE
from mythos_lab.search.attributes import POINT as POINT
from mythos_lab.search.attributes import REASON as REASON
from mythos_lab.search.attributes import RETRY_OF as RETRY_OF
from mythos_lab.search.attributes import TAKEN as TAKEN
from mythos_lab.search.attributes import WORKER as WORKER
from mythos_lab.search.room import BELOW, Full, template
from mythos_lab.search.samplers.queue_only import QueueOnly
from mythos_lab.tracking.process import identity

KILLED, SURPLUS, REFUSED = "killed", "surplus", "refused"
LEFT_OUT = ("vetoed", "diverged", "failed")
"""Outcomes of trials that were not trained to their end and say why."""

MAX_ATTEMPTS = 5
"""Workers that a trial may lose before it is failed: the sixth would be lost as well."""

_QUEUED_PARAMS = "fixed_params"  # where Optuna keeps what was queued
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
    past, is_grid = _past(study), isinstance(study.sampler, QueueOnly)
    while True:
        trials, seen = study.get_trials(deepcopy=False) if seen is None else seen, None
        is_waiting = any(t.state is TrialState.WAITING for t in trials)
        if len(past.places(trials)) >= num_trials or (is_grid and not is_waiting):
            return None
        number, is_new = _pop(study, trials), False
        if number is None and not is_grid and (room := past.room(trials, num_trials)) > 0:
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
        if past.is_doubled(trial, trials):
            settle(study, trial, TrialState.FAIL, SURPLUS)
            continue
        is_queued, own = _errand(trial) is not None, _place(trial)
        if is_grid and not is_queued and params_of(trials[trial.number]):
            reason = "a grid comes to each of its points by itself, and runs nothing that is enqueued beside them"
            settle(study, trial, TrialState.FAIL, REFUSED, reason)
            continue
        num_before = sum(place < own for place in past.places(trials, kept=True))
        if num_before < num_trials and (is_queued or not is_grid):
            return trial
        if is_queued:  # its place may be free again before long
            hand_back(study, trial, "more were taken at once than are wanted", lost=False)
        else:
            settle(study, trial, TrialState.FAIL, SURPLUS)
            return None


def _pop(study: optuna.Study, trials: list[FrozenTrial]) -> int | None:
    """The id of a trial that waited, and is this worker's now.

    The first is tried first. Each time that somebody was faster, the next is drawn from four times as many: a thousand
    that begin at once would otherwise all try each.
    """
    waiting = [trial for trial in trials if trial.state is TrialState.WAITING]
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
    if _errand(left) is not None and _past(study).is_doubled(left, study.get_trials(deepcopy=False)):
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
    if not _is_to_retry(left):
        return
    attempt = int(left.user_attrs.get(ATTEMPT, 0)) + bool(left.user_attrs.get(BLAMED))
    kept = {name: value for name, value in left.user_attrs.items() if name not in _NOT_PASSED_ON}
    left_behind = (BELOW, ARTIFACTS_ATTR_PREFIX)  # the bound that it was made under, and files that are told of again
    system = {name: value for name, value in left.system_attrs.items() if not name.startswith(left_behind)}
    study.add_trial(
        create_trial(
            state=TrialState.WAITING,
            user_attrs={**kept, RETRY_OF: left.number, ATTEMPT: attempt, PLACE: _place(left)},
            system_attrs={**system, _QUEUED_PARAMS: params_of(left)},
            intermediate_values=left.intermediate_values,
        )
    )


def due(study: optuna.Study, seen: list[FrozenTrial] | None = None) -> list[FrozenTrial]:
    """Killed trials that nobody has queued again yet: somebody is about to, or has died before."""
    return _past(study).due(study.get_trials(deepcopy=False) if seen is None else seen)


def clear_doubles(study: optuna.Study) -> None:
    """Settle trials that wait although another was queued for the same, by two machines that began at once."""
    seen: set[tuple[str, int]] = set()
    for trial in study.get_trials(deepcopy=False):
        if (errand := _errand(trial)) is None:
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


def num_settled(study: optuna.Study, seen: list[FrozenTrial] | None = None) -> int:
    """How many trials of a study, or of those that were seen of it, have come to an end of their own."""
    return _past(study).num_settled(study.get_trials(deepcopy=False) if seen is None else seen)


def is_settled(trial: FrozenTrial) -> bool:
    """Whether a trial has come to an end of its own, and so counts.

    The state tells: it is set once, whereas two who tell a trial's end at once may both have written an outcome.
    """
    if trial.state is TrialState.FAIL:
        return trial.user_attrs.get(OUTCOME) in LEFT_OUT and not is_told(trial)
    return trial.state.is_finished() and not is_told(trial)


def is_told(trial: FrozenTrial) -> bool:
    """Whether somebody else said how a trial ended: by Optuna's ``tell`` or ``add_trial``, a copy of another study's.

    One that a worker had in its hands and that was failed by hand is queued again, as a killed one is.
    """
    attrs = trial.user_attrs
    if not trial.state.is_finished() or attrs.get(TAKEN, trial.number) != trial.number:
        return trial.state.is_finished()
    return OUTCOME not in attrs and not (trial.state is TrialState.FAIL and WORKER in attrs)


def is_asked_elsewhere(trial: FrozenTrial) -> bool:
    """Whether a trial runs in the hands of somebody who asked Optuna for it, and is to tell its end."""
    return trial.state is TrialState.RUNNING and WORKER not in trial.user_attrs and bool(trial.params)


def num_wanted(study: optuna.Study, trials: list[FrozenTrial]) -> int:
    """How many of a study's trials are wanted ones: settled, in somebody's hands, or about to be queued again."""
    return len(_past(study).places(trials))


def params_of(trial: FrozenTrial) -> dict[str, Any]:
    """A trial's parameters, and those that it was queued with and has not come to yet."""
    return {**trial.system_attrs.get(_QUEUED_PARAMS, {}), **trial.params}


def is_surplus(trial: FrozenTrial) -> bool:
    """Whether a trial was taken although it was not wanted, and stands for nothing."""
    return trial.user_attrs.get(OUTCOME) == SURPLUS and trial.state in (TrialState.FAIL, TrialState.RUNNING)


def is_enqueued(trial: FrozenTrial) -> bool:
    """Whether somebody else queued a trial."""
    return trial.state is TrialState.WAITING and _errand(trial) is None


def is_refused(trial: FrozenTrial) -> bool:
    """Whether a trial was enqueued that the study cannot run."""
    return trial.user_attrs.get(OUTCOME) == REFUSED and trial.state is TrialState.FAIL and not is_told(trial)


def stands_for_nothing(trial: FrozenTrial) -> bool:
    """Whether what a trial was queued for remains to be done."""
    return is_surplus(trial) or is_refused(trial) or is_told(trial)


def _is_to_retry(trial: FrozenTrial) -> bool:
    """Whether a trial was killed, and enough is known of it to run it again."""
    killed = trial.state is TrialState.FAIL and not is_settled(trial) and not stands_for_nothing(trial)
    return killed and _knows(trial)


def _knows(trial: FrozenTrial) -> bool:
    """Whether anything is known of a trial by which it could be run again."""
    return bool(params_of(trial)) or RETRY_OF in trial.user_attrs


def _place(trial: FrozenTrial | optuna.Trial) -> int:
    """Which of the trials that are wanted a trial is: the number of the one that it goes on with, or its own."""
    return int(trial.user_attrs.get(PLACE, trial.number))


def _errand(trial: FrozenTrial | optuna.Trial) -> tuple[str, int] | None:
    """What a queued trial stands for; another one for the same, queued at once by another machine, is surplus."""
    attrs = trial.user_attrs
    if RETRY_OF in attrs:
        return RETRY_OF, attrs[RETRY_OF]
    return (POINT, attrs[POINT]) if POINT in attrs else None


class _Past:
    """A study's trials up to the first one that is not over: they change no more, and are looked at once.

    With ten thousand of them, looking at all for every trial takes longer than drawing its values.
    """

    def __init__(self) -> None:
        self._num = self._num_settled = 0
        self._settled: set[int] = set()
        self._errands: set[tuple[str, int] | None] = set()

    def places(self, trials: list[FrozenTrial], *, kept: bool = False) -> set[int]:
        """The places that are taken, by the number of the trial that came first to each.

        Args:
            trials: All of the study's, in order.
            kept: Count those too that are kept for retries which wait to be taken.
        """
        retried = self._look_at(trials)
        return self._settled | {
            _place(t)
            for t in trials[self._num :]
            if is_settled(t)
            or (t.state is TrialState.RUNNING and not is_surplus(t) and not is_asked_elsewhere(t))
            or (t.state is TrialState.WAITING and kept and RETRY_OF in t.user_attrs)
            or _is_due(t, retried)
        }

    def room(self, trials: list[FrozenTrial], num_trials: int) -> int:
        """How many new trials are wanted beside those that are there, all that wait among them."""
        num_waiting = sum(t.state is TrialState.WAITING and RETRY_OF not in t.user_attrs for t in trials[self._num :])
        return num_trials - len(self.places(trials, kept=True)) - num_waiting

    def num_settled(self, trials: list[FrozenTrial]) -> int:
        """How many trials are settled."""
        self._look_at(trials)
        return self._num_settled + sum(map(is_settled, trials[self._num :]))

    def is_doubled(self, trial: FrozenTrial | optuna.Trial, trials: list[FrozenTrial]) -> bool:
        """Whether an earlier one of the study's trials stands for the same errand."""
        errand = _errand(trial)
        return errand is not None and (
            (trial.number >= self._num and errand in self._errands)
            or any(
                _errand(t) == errand and not stands_for_nothing(t)
                for t in trials[self._num :]
                if t.number < trial.number
            )
        )

    def due(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        """Killed trials without a retry."""
        retried = self._look_at(trials)
        return [trial for trial in trials[self._num :] if _is_due(trial, retried)]

    def _look_at(self, trials: list[FrozenTrial]) -> set[int]:
        """Note which further trials are over; returns those of the others, and maybe more, that were queued again."""
        # A retry comes later than what it stands for.
        retried = {t.user_attrs[RETRY_OF] for t in trials[self._num :] if RETRY_OF in t.user_attrs}
        for trial in trials[self._num :]:
            if not trial.state.is_finished() or trial.number != self._num or _is_due(trial, retried):
                break
            if is_settled(trial):
                self._settled.add(_place(trial))
                self._num_settled += 1
            if not stands_for_nothing(trial):
                self._errands.add(_errand(trial))
            self._num += 1
        return retried


def _is_due(trial: FrozenTrial, retried: set[int]) -> bool:
    return trial.number not in retried and _is_to_retry(trial)


def _past(study: optuna.Study) -> _Past:
    return _PASTS.setdefault(study, _Past())


_PASTS: WeakKeyDictionary[optuna.Study, _Past] = WeakKeyDictionary()
