"""Who runs which trial, and what became of the others; the same on every storage and on any number of machines.

A trial is *settled* when it has come to an end of its own: complete, pruned, vetoed, diverged or failed. A trial that
its worker left behind is failed with the outcome ``killed`` and queued again; its retry counts in its place. Where
workers on two machines take the last trial at once, the later one is surplus: failed untrained, and counted nowhere.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import Any
from weakref import WeakKeyDictionary

import optuna
import psutil
from optuna.trial import FrozenTrial, TrialState

from mythos_lab.search.samplers.queue_only import QueueOnly

OUTCOME, REASON, FOLDER, WORKER, BEAT = "outcome", "reason", "folder", "worker", "beat"
RETRY_OF, ATTEMPT, POINT = "retry_of", "attempt", "point"
KILLED, SURPLUS = "killed", "surplus"
LEFT_OUT = ("vetoed", "diverged", "failed")
"""Outcomes of trials that were not trained to their end and say why."""

MAX_ATTEMPTS = 5
"""Workers that a trial may lose before it is failed: the sixth would be lost as well."""

_QUEUED_PARAMS = "fixed_params"  # where Optuna keeps what was queued
_LONGEST_REASON = 2000  # a column of a database
_MISSED = 5  # signs of life before a worker on another machine is taken to be gone


def take(study: optuna.Study, num_trials: int) -> optuna.Trial | None:
    """A trial to run, or ``None`` where enough are settled or running, or where no point of a grid is waiting."""
    past, is_grid = _PASTS.setdefault(study, _Past()), isinstance(study.sampler, QueueOnly)
    while past.count(trials := study.get_trials(deepcopy=False)) < num_trials:
        if is_grid and not any(t.state is TrialState.WAITING for t in trials):
            return None
        trial = study.ask()
        trial.set_user_attr(WORKER, identity())
        before = [t for t in study.get_trials(deepcopy=False) if t.number < trial.number]
        errand = _errand(trial)
        doubled = past.has(errand, before)
        is_blank = is_grid and errand is None  # another worker was faster
        if not doubled and not is_blank and past.count(before) < num_trials:
            return trial
        settle(study, trial, TrialState.FAIL, SURPLUS)
        if not doubled:
            return None
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
            study._storage.set_trial_user_attr(trial._trial_id, REASON, reason[:_LONGEST_REASON])
        study.tell(trial.number, values=values, state=state)
    except (optuna.exceptions.UpdateFinishedTrialError, ValueError):
        if not study._storage.get_trial(trial._trial_id).state.is_finished():
            raise
        return False
    return True


def hand_back(study: optuna.Study, trial: FrozenTrial | optuna.Trial, reason: str, *, lost: bool = True) -> None:
    """Fail a trial that its worker cannot finish, and queue it again to go on from its last checkpoint.

    Args:
        lost: Whether the trial may be to blame. A worker that was asked to stop, and has saved a checkpoint, does not
            count towards :data:`MAX_ATTEMPTS`: under a time limit a long trial needs many.
    """
    left = study._storage.get_trial(trial._trial_id)
    if left.state.is_finished():
        return
    attempt = int(left.user_attrs.get(ATTEMPT, 0)) + lost
    if attempt >= MAX_ATTEMPTS:
        settle(study, left, TrialState.FAIL, "failed", f"{MAX_ATTEMPTS} workers were lost with it; last: {reason}")
        return
    # Queued first: a worker that dies between the two leaves one retry too many, which is surplus, and never none.
    params = left.system_attrs.get(_QUEUED_PARAMS, {}) | left.params
    if params or RETRY_OF in left.user_attrs:
        kept = {FOLDER: left.user_attrs[FOLDER]} if FOLDER in left.user_attrs else {}
        study.enqueue_trial(params, user_attrs={**kept, RETRY_OF: left.number, ATTEMPT: attempt})
    settle(study, left, TrialState.FAIL, KILLED, reason)


def clear_doubles(study: optuna.Study) -> None:
    """Settle trials that wait although another was queued for the same, by two machines that began at once."""
    seen: set[tuple[str, int]] = set()
    for trial in study.get_trials(deepcopy=False):
        if (errand := _errand(trial)) is None:
            continue
        if errand in seen and trial.state is TrialState.WAITING and _claim(study, trial):
            settle(study, trial, TrialState.FAIL, SURPLUS)
        seen.add(errand)


def _claim(study: optuna.Study, trial: FrozenTrial) -> bool:
    """Take a waiting trial out of the queue; whether nobody was faster."""
    try:
        return bool(study._storage.set_trial_state_values(trial._trial_id, state=TrialState.RUNNING))
    except optuna.exceptions.UpdateFinishedTrialError:
        return False


def is_settled(trial: FrozenTrial) -> bool:
    """Whether a trial has come to an end of its own, and so counts."""
    return trial.state.is_finished() and trial.user_attrs.get(OUTCOME) not in (KILLED, SURPLUS)


def _errand(trial: FrozenTrial | optuna.Trial) -> tuple[str, int] | None:
    """What a queued trial stands for; another one for the same, queued at once by another machine, is surplus."""
    attrs = trial.user_attrs
    if RETRY_OF in attrs:
        return RETRY_OF, attrs[RETRY_OF]
    return (POINT, attrs[POINT]) if POINT in attrs else None


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial is one of those that are wanted: settled, or in somebody's hands."""
    return is_settled(trial) or (trial.state is TrialState.RUNNING and trial.user_attrs.get(OUTCOME) != SURPLUS)


class _Past:
    """A study's trials up to the first one that is not finished: they change no more, and are counted once.

    With ten thousand of them, counting all for every trial takes longer than drawing its values.
    """

    def __init__(self) -> None:
        self._num = self._counted = 0
        self._errands: set[tuple[str, int] | None] = set()

    def count(self, trials: list[FrozenTrial]) -> int:
        """How many of the study's first trials, in order, are among those that are wanted."""
        for trial in trials[self._num :]:
            if not trial.state.is_finished() or trial.number != self._num:
                break
            self._counted += is_settled(trial)
            self._errands.add(_errand(trial))
            self._num += 1
        return self._counted + sum(map(counts, trials[self._num :]))

    def has(self, errand: tuple[str, int] | None, trials: list[FrozenTrial]) -> bool:
        """Whether one of the study's first trials stands for an errand."""
        return errand is not None and (
            errand in self._errands or any(_errand(trial) == errand for trial in trials[self._num :])
        )


_PASTS: WeakKeyDictionary[optuna.Study, _Past] = WeakKeyDictionary()


class Watch:
    """Finds trials whose worker is gone.

    A process on this machine is looked for. One on another machine is gone when its signs of life have stopped for as
    long as five of them take, by the clock of who watches: machines need not agree about the time.

    Args:
        heartbeat: Seconds between signs of life.
    """

    def __init__(self, heartbeat: float) -> None:
        self.heartbeat = heartbeat
        self._seen: dict[int, tuple[Any, float]] = {}

    def reap(self, study: optuna.Study) -> int:
        """Hand back the trials of workers that are gone; returns how many."""
        running = [t for t in study.get_trials(deepcopy=False) if t.state is TrialState.RUNNING]
        orphans = [t for t in running if self._is_gone(t)]
        self._seen = {t.number: self._seen[t.number] for t in running if t.number in self._seen}
        for orphan in orphans:
            hand_back(study, orphan, f"worker {orphan.user_attrs.get(WORKER, 'unknown')} is gone")
        return len(orphans)

    def _is_gone(self, trial: FrozenTrial) -> bool:
        worker = trial.user_attrs.get(WORKER)
        if worker is not None and worker.rsplit(":", 2)[0] == socket.gethostname():
            return not _is_alive(worker)
        sign = (worker, trial.user_attrs.get(BEAT))
        seen, since = self._seen.get(trial.number, (None, 0.0))
        if seen != sign:
            self._seen[trial.number] = sign, time.monotonic()
            return False
        return time.monotonic() - since > _MISSED * self.heartbeat


class Heartbeat:
    """Gives signs of life of a trial while a ``with`` block runs."""

    def __init__(self, study: optuna.Study, trial: optuna.Trial, seconds: float) -> None:
        self._storage, self._id, self._seconds = study._storage, trial._trial_id, seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def _beat(self) -> None:
        count = 0
        while not self._over.wait(self._seconds):
            count += 1
            try:
                self._storage.set_trial_user_attr(self._id, BEAT, count)
            except optuna.exceptions.UpdateFinishedTrialError:
                return  # another machine has given it up

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def identity() -> str:
    """This process, in words that another one cannot come to share."""
    return f"{socket.gethostname()}:{os.getpid()}:{psutil.Process().create_time():.2f}"


def _is_alive(worker: str) -> bool:
    _, pid, created = worker.rsplit(":", 2)
    try:
        process = psutil.Process(int(pid))
        return f"{process.create_time():.2f}" == created and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
