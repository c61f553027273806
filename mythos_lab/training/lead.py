"""What rank 0 alone does while a model trains: it tells of it, and listens."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mythos_lab.measures.evaluate import Scores
from mythos_lab.training.history import History
from mythos_lab.training.state import Training

if TYPE_CHECKING:
    from mythos_lab.tracking.mlflow import Tracker

OnValidation = Callable[[int, Scores], None]
"""Called with the steps done and the scores after every validation; raises to stop the run."""

ShouldStop = Callable[[], bool]
"""Asked after every step whether the run is to stop there."""


class Lead:
    """Sends metrics, tells of validations, and asks whether to stop.

    Metrics are sent after the checkpoint that holds them, so a resumed run logs no step that it repeats, and sends what
    was not sent.
    """

    def __init__(
        self,
        tracker: Tracker,
        on_validation: OnValidation | None = None,
        should_stop: ShouldStop | None = None,
        history: History | None = None,
    ) -> None:
        self.tracker, self._on_validation, self._should_stop = tracker, on_validation, should_stop
        self._history = history

    def send(self, training: Training) -> None:
        """Send what has been recorded since the last time."""
        unsent, training.unsent = training.unsent, []
        if self._history is not None:
            self._history.add(unsent)
        for step, at, metrics in unsent:
            self.tracker.metrics(metrics, step, at)
        self.tracker.flush()

    def tell(self, training: Training) -> None:
        """Tell of a validation.

        Raises:
            Diverged: Its loss is no number.
            Pruned: Whoever is told says so.
        """
        training.check_scores()
        if self._on_validation is not None:
            assert training.scores is not None
            self._on_validation(training.num_steps, training.scores)

    def is_asked_to_stop(self) -> bool:
        """Whether the run is to stop here."""
        return self._should_stop is not None and self._should_stop()
