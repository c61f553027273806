"""Training batches by step, so that a run resumes with the batch that would have come next."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch.utils.data import IterableDataset

from mythos_lab.tasks.base import Batch, Task
from mythos_lab.training.ranks import Rank


class TrainingBatches(IterableDataset[Batch]):
    """A rank's part of the batches of the steps ``first_step`` to ``max_steps``.

    Step s reads samples ``s * batch_size`` and on, of which every rank takes as many.
    """

    def __init__(self, task: Task, batch_size: int, max_steps: int, first_step: int, rank: Rank) -> None:
        self.task, self.batch_size, self.max_steps, self.first_step = task, batch_size, max_steps, first_step
        self.rank = rank

    def __iter__(self) -> Iterator[Batch]:
        for step in range(self.first_step, self.max_steps):
            batch = range(step * self.batch_size, (step + 1) * self.batch_size)
            yield self.task.batch("train", self.rank.share(batch))


def first_step_of(checkpoint: Path) -> int:
    """The step that follows a checkpoint."""
    return int(torch.load(checkpoint, weights_only=True, mmap=True)["global_step"])
