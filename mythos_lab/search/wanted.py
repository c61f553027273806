"""Which trials of a study are wanted: the places that are taken, those that have room, and what is due again."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import optuna
from optuna.trial import FrozenTrial, TrialState

from mythos_lab.search.attributes import RETRY_OF
from mythos_lab.search.trial_states import (
    errand_of,
    is_asked_elsewhere,
    is_settled,
    is_surplus,
    is_to_retry,
    place_of,
    stands_for_nothing,
)


class Wanted:
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
        further = self._further(trials, kept)
        return self._settled | further

    def num_places(self, trials: list[FrozenTrial], *, kept: bool = False) -> int:
        """How many places are taken, as of :meth:`places`."""
        further = self._further(trials, kept)
        return len(self._settled) + len(further - self._settled)

    def _further(self, trials: list[FrozenTrial], kept: bool) -> set[int]:
        """The places of trials that are looked at again each time."""
        retried = self._look_at(trials)
        return {
            place_of(t)
            for t in trials[self._num :]
            if is_settled(t)
            or (t.state is TrialState.RUNNING and not is_surplus(t) and not is_asked_elsewhere(t))
            or (t.state is TrialState.WAITING and kept and RETRY_OF in t.user_attrs)
            or _is_due(t, retried)
        }

    def room(self, trials: list[FrozenTrial], num_trials: int) -> int:
        """How many new trials are wanted beside those that are there, all that wait among them."""
        num_waiting = sum(RETRY_OF not in t.user_attrs for t in self.waiting(trials))
        return num_trials - self.num_places(trials, kept=True) - num_waiting

    def waiting(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        """Those that wait to be taken, in order."""
        self._look_at(trials)
        return [t for t in trials[self._num :] if t.state is TrialState.WAITING]

    def num_settled(self, trials: list[FrozenTrial]) -> int:
        """How many trials are settled."""
        self._look_at(trials)
        return self._num_settled + sum(map(is_settled, trials[self._num :]))

    def is_doubled(self, trial: FrozenTrial | optuna.Trial, trials: list[FrozenTrial]) -> bool:
        """Whether an earlier one of the study's trials stands for the same errand."""
        errand = errand_of(trial)
        return errand is not None and (
            (trial.number >= self._num and errand in self._errands)
            or any(
                errand_of(t) == errand and not stands_for_nothing(t)
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
                self._settled.add(place_of(trial))
                self._num_settled += 1
            if not stands_for_nothing(trial):
                self._errands.add(errand_of(trial))
            self._num += 1
        return retried


def _is_due(trial: FrozenTrial, retried: set[int]) -> bool:
    return trial.number not in retried and is_to_retry(trial)


def wanted_of(study: optuna.Study) -> Wanted:
    """What is known of a study's trials: one for all who ask."""
    return _WANTED.setdefault(study, Wanted())


def due(study: optuna.Study, seen: list[FrozenTrial] | None = None) -> list[FrozenTrial]:
    """Killed trials that nobody has queued again yet: somebody is about to, or has died before."""
    return wanted_of(study).due(study.get_trials(deepcopy=False) if seen is None else seen)


def num_settled(study: optuna.Study, seen: list[FrozenTrial] | None = None) -> int:
    """How many trials of a study, or of those that were seen of it, have come to an end of their own."""
    return wanted_of(study).num_settled(study.get_trials(deepcopy=False) if seen is None else seen)


def num_wanted(study: optuna.Study, trials: list[FrozenTrial]) -> int:
    """How many of a study's trials are wanted ones: settled, in somebody's hands, or about to be queued again."""
    return wanted_of(study).num_places(trials)


_WANTED: WeakKeyDictionary[optuna.Study, Wanted] = WeakKeyDictionary()
