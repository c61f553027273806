"""What an engine is asked to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import TrialState

from mythos_lab.recipe.errors import WorkersLost
from mythos_lab.search.spaces.space import Space
from mythos_lab.search.trial_states import is_asked_elsewhere
from mythos_lab.search.wanted import num_settled, num_wanted

_MAX_DEATHS = 5  # of each worker, without a trial settled by anyone in between


@dataclass(frozen=True)
class Job:
    """What an engine works off.

    Attributes:
        space: The search space.
        study: The study, as the caller sees it.
        num_trials: Trials in all, those of earlier calls included.
        num_workers: Trials that may run at once.
    """

    space: Space
    study: optuna.Study
    num_trials: int
    num_workers: int


class Engine(ABC):
    """Places workers, and trials with them, until the study is over."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._deaths = self._settled = 0

    @classmethod  # noqa: B027, most engines work anywhere
    def check(cls, **options: Any) -> None:
        """Refuse options, or a machine, with which no job can be worked off.

        Raises:
            RecipeError: Says what is wrong with them.
        """

    @abstractmethod
    def tend(self) -> None:
        """Put workers where some are missing. Called about once a second.

        Raises:
            WorkersLost: Workers keep dying; says where to read why.
            Misplaced: No worker can work where they are placed.
        """

    @abstractmethod
    def is_idle(self) -> bool:
        """Whether nothing runs."""

    @abstractmethod
    def finish(self) -> None:
        """Let running trials end, and start no more."""

    @abstractmethod
    def abandon(self) -> None:
        """Have running trials save a checkpoint and hand themselves back; waits until they have."""

    def close(self) -> None:  # noqa: B027, most engines hold nothing
        """Give back what the engine holds besides workers. Called last."""

    def count_death(self, reason: str) -> None:
        """Note that a worker came to a bad end.

        Raises:
            WorkersLost: Too many have, without a trial settled meanwhile.
        """
        settled = num_settled(self.job.study)
        if settled > self._settled:
            self._deaths, self._settled = 0, settled
        self._deaths += 1
        if self._deaths > _MAX_DEATHS * self.job.num_workers:
            raise WorkersLost(f"workers keep dying; {reason}")

    def num_vacancies(self, num_busy: int) -> int:
        """How many more workers would find a trial now.

        Args:
            num_busy: Workers that there are, some of which may not have taken a trial yet.
        """
        trials = self.job.study.get_trials(deepcopy=False)
        num_running = sum(t.state is TrialState.RUNNING and not is_asked_elsewhere(t) for t in trials)
        num_left = self.job.num_trials - num_wanted(self.job.study, trials) - max(0, num_busy - num_running)
        return max(0, min(self.job.num_workers - num_busy, num_left))
