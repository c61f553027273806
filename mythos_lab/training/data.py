"""Training batches by step, so that a run resumes with the batch that would have come next."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator

from torch.utils.data import IterableDataset

from mythos_lab.recipe.rank import Rank
from mythos_lab.recipe.schema import Training
from mythos_lab.tasks.base import Batch, Task

_NUM_ORDERED = 64


def training_batch(task: Task, samples: range, rank: Rank) -> Batch:
    """A rank's part of the batch of these samples, of which every rank takes as many."""
    return task.batch("train", rank.share(samples))


class TrainingBatches(IterableDataset[Batch]):
    """A rank's part of the batches of the steps ``first_step`` to ``max_steps``, one after the other."""

    def __init__(self, task: Task, training: Training, first_step: int, rank: Rank) -> None:
        self.task, self.training, self.first_step, self.rank = task, training, first_step, rank

    def __iter__(self) -> Iterator[Batch]:
        for index in range(self.first_step, self.training.max_steps):
            yield training_batch(self.task, self.training.samples(index), self.rank)


def order_of(task: Task, batch_size: int) -> str:
    """A hash of the first samples that training reads, in the order in which it reads them, hexadecimal.

    The batch size is no part of it, nor is the number of steps: runs that read the same samples one after the other
    have the same order.
    """
    digest, left = hashlib.sha256(), _NUM_ORDERED
    for index in range(math.ceil(_NUM_ORDERED / batch_size)):
        batch = training_batch(task, range(index * batch_size, (index + 1) * batch_size), Rank())
        for tokens, targets in zip(batch.tokens[:left], batch.targets[:left], strict=True):
            digest.update(tokens.numpy().tobytes() + targets.numpy().tobytes())
        left -= min(left, len(batch.tokens))
    return digest.hexdigest()
