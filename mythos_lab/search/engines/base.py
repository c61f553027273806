"""What an engine is asked to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import optuna

from mythos_lab.search.space import Space


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

    @abstractmethod
    def tend(self) -> None:
        """Put workers where some are missing. Called about once a second.

        Raises:
            RuntimeError: Workers keep dying; says where to read why.
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
