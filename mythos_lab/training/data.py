"""Training batches by step, so that a run resumes with the batch that would have come next."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.utils.data import IterableDataset

from mythos_lab.tasks.base import Batch, Task
from mythos_lab.training.ranks import Rank

_NUM_ORDERED = 64


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


def order_of(task: Task, batch_size: int) -> str:
    """A hash of the first samples that training reads, in the order in which it reads them, hexadecimal.

    The batch size is no part of it, nor is the number of steps: runs that read the same samples one after the other
    have the same order.
    """
    batches = TrainingBatches(task, batch_size, math.ceil(_NUM_ORDERED / batch_size), 0, Rank())
    digest, left = hashlib.sha256(), _NUM_ORDERED
    for batch in batches:
        for tokens, targets in zip(batch.tokens[:left], batch.targets[:left], strict=True):
            digest.update(tokens.numpy().tobytes() + targets.numpy().tobytes())
        left -= min(left, len(batch.tokens))
    return digest.hexdigest()


def first_step_of(checkpoint: Path) -> int:
    """The step that follows a checkpoint."""
    return int(torch.load(checkpoint, weights_only=True, mmap=True)["global_step"])
