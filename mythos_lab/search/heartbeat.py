"""Signs of life: how workers give them, and how the trials of those that give none come back into the queue."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import optuna
import psutil
from optuna.trial import FrozenTrial, TrialState

from mythos_lab.search.trial_queue import BEAT, WORKER, due, hand_back, queue_again

_MISSED = 5  # signs of life before a worker on another machine is taken to be gone


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
        self._due: dict[int, float] = {}

    def reap(self, study: optuna.Study) -> int:
        """Hand back the trials of workers that are gone; returns how many."""
        running = [t for t in study.get_trials(deepcopy=False) if t.state is TrialState.RUNNING]
        orphans = [t for t in running if self._is_gone(t)]
        self._seen = {t.number: self._seen[t.number] for t in running if t.number in self._seen}
        for orphan in orphans:
            hand_back(study, orphan, f"worker {orphan.user_attrs.get(WORKER, 'unknown')} is gone")
        return len(orphans) + self._queue_what_is_due(study)

    def _queue_what_is_due(self, study: optuna.Study) -> int:
        """Queue killed trials that whoever failed them has not queued, in as much time as a sign of life may take."""
        now, waiting = time.monotonic(), due(study)
        self._due = {trial.number: self._due.get(trial.number, now) for trial in waiting}
        overdue = [trial for trial in waiting if now - self._due[trial.number] > self.heartbeat]
        for trial in overdue:
            queue_again(study, trial)
        return len(overdue)

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
    """Gives signs of life of a trial while a ``with`` block runs.

    Attributes:
        is_lost: Whether another machine has given the trial up meanwhile, and it is run elsewhere.
    """

    def __init__(self, study: optuna.Study, trial: optuna.Trial, seconds: float) -> None:
        self._storage, self._id, self._seconds = study._storage, trial._trial_id, seconds
        self.is_lost = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def _beat(self) -> None:
        count = 0
        while not self._over.wait(self._seconds):
            count += 1
            try:
                self._storage.set_trial_user_attr(self._id, BEAT, count)
            except optuna.exceptions.UpdateFinishedTrialError:
                self.is_lost = True
                return

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def _is_alive(worker: str) -> bool:
    _, pid, created = worker.rsplit(":", 2)
    try:
        process = psutil.Process(int(pid))
        return f"{process.create_time():.2f}" == created and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
