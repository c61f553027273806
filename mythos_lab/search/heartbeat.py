"""Signs of life: how workers give them, and how the trials of those that give none come back into the queue."""

from __future__ import annotations

import random
import time
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from mythos_lab.search.attributes import BEAT, WORKER
from mythos_lab.search.repeating import Repeating
from mythos_lab.search.trial_queue import hand_back, queue_again
from mythos_lab.search.trial_states import is_asked_elsewhere
from mythos_lab.search.wanted import due
from mythos_lab.tracking.process import is_alive

_CHANCE = random.SystemRandom()  # whatever a run has seeded
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

    def reap(self, study: optuna.Study, most: int | None = None, seen: list[FrozenTrial] | None = None) -> int:
        """Hand back the trials of workers that are gone; returns how many.

        Args:
            study: The study.
            most: How many at most, by chance. A worker that looks for a trial needs one: where a thousand find that a
                thousand are gone, and each hands back all, a database is told a million times.
            seen: Its trials as they were a moment ago; ``None`` looks.
        """
        trials = study.get_trials(deepcopy=False) if seen is None else seen
        running = [t for t in trials if t.state is TrialState.RUNNING and not is_asked_elsewhere(t)]
        orphans = [t for t in running if self._is_gone(t)]
        self._seen = {t.number: self._seen[t.number] for t in running if t.number in self._seen}
        if most is not None and len(orphans) > most:
            orphans = _CHANCE.sample(orphans, most)
        for orphan in orphans:
            hand_back(study, orphan, f"worker {orphan.user_attrs.get(WORKER, 'unknown')} is gone")
        return len(orphans) + self._queue_what_is_due(study, trials)

    def _queue_what_is_due(self, study: optuna.Study, trials: list[FrozenTrial]) -> int:
        """Queue killed trials that whoever failed them has not queued, in as much time as a sign of life may take."""
        now, waiting = time.monotonic(), due(study, trials)
        self._due = {trial.number: self._due.get(trial.number, now) for trial in waiting}
        overdue = [trial for trial in waiting if now - self._due[trial.number] > self.heartbeat]
        for trial in overdue:
            queue_again(study, trial)
        return len(overdue)

    def _is_gone(self, trial: FrozenTrial) -> bool:
        worker = trial.user_attrs.get(WORKER)
        if worker is not None and (alive := is_alive(worker)) is not None:
            return not alive
        sign = (worker, trial.user_attrs.get(BEAT))
        seen, since = self._seen.get(trial.number, (None, 0.0))
        if seen != sign:
            self._seen[trial.number] = sign, time.monotonic()
            return False
        return time.monotonic() - since > _MISSED * self.heartbeat


class Heartbeat(Repeating):
    """Gives signs of life of a trial while a ``with`` block runs.

    Attributes:
        is_lost: Whether another machine has given the trial up meanwhile, and it is run elsewhere.
    """

    def __init__(self, study: optuna.Study, trial: optuna.Trial, seconds: float) -> None:
        super().__init__(f"trial {trial.number}: its sign of life", seconds, self._beat)
        self._storage, self._id, self._count = study._storage, trial._trial_id, 0
        self.is_lost = False

    def _beat(self) -> bool:
        self._count += 1
        try:
            self._storage.set_trial_user_attr(self._id, BEAT, self._count)
        except optuna.exceptions.UpdateFinishedTrialError:
            self.is_lost = True
        return not self.is_lost

    def __enter__(self) -> Heartbeat:
        super().__enter__()
        return self
