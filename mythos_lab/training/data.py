"""Training batches by step, so that a run resumes with the batch that would have come next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch.utils.data import IterableDataset

from mythos_lab.tasks.base import Batch, Task


class TrainingBatches(IterableDataset[Batch]):
    """The batches of the steps ``first_step`` to ``max_steps``; step s reads samples ``s * batch_size`` and on."""

    def __init__(self, task: Task, batch_size: int, max_steps: int, first_step: int) -> None:
        self.task, self.batch_size, self.max_steps, self.first_step = task, batch_size, max_steps, first_step

    def __iter__(self) -> Iterator[Batch]:
        for step in range(self.first_step, self.max_steps):
            yield self.task.batch("train", range(step * self.batch_size, (step + 1) * self.batch_size))


def first_step_of(checkpoint: dict[str, Any] | None) -> int:
    """The step that follows a checkpoint."""
    return 0 if checkpoint is None else int(checkpoint["global_step"])
