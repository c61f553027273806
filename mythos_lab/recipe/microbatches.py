"""A batch in parts, whose gradients add up to those of the whole."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mythos_blocks import Iterations
from mythos_lab.recipe.losses import Weights
from mythos_lab.recipe.rank import Rank
from mythos_lab.tasks.base import IGNORE, Batch


class Given:
    """What a step's loss is computed from.

    No dataclass, since Fabric and DDP would take one apart to move its tensors, and loop counts stay on the host.

    Attributes:
        batch: The samples, on the model's device.
        iterations: One loop count, or one for each sequence or position, of training; as the model takes them.
        shows: Whether to compute what metrics need beside the loss.
        weights: What means over the samples weigh, where they are a part of a batch.
    """

    def __init__(self, batch: Batch, iterations: Iterations, shows: bool, weights: Weights | None = None) -> None:
        self.batch, self.iterations, self.shows = batch, iterations, shows
        self.weights = weights or Weights()


def microbatches(batch: Batch, iterations: Iterations, num: int, rank: Rank, *, shows: bool) -> list[Given]:
    """A rank's batch in parts of its sequences, weighed so that gradients of their losses add up to the whole's.

    Parts differ in scored tokens and in padding: a mean over either weighs as much as the part has of all ranks' and
    parts' together. As gradients are the mean of the ranks', it weighs that times the ranks' number.

    Args:
        batch: The samples, ``(batch, positions)``.
        iterations: Loop counts, one, or ``(batch,)`` or ``(batch, positions)``.
        num: Parts at most; a batch with fewer sequences has as many.
        rank: This process's place.
        shows: Whether to compute what metrics need beside the loss.
    """
    if num == 1 and rank.num == 1:
        return [Given(batch, iterations, shows)]
    size = len(batch.tokens)
    each = math.ceil(size / num)
    rows = [slice(start, min(start + each, size)) for start in range(0, size, each)]
    parts = [_of_rows(batch, these) for these in rows]
    counts = torch.stack([_counts(part) for part in parts])
    weights = counts * rank.num / rank.total(counts.sum(0))
    counted = isinstance(iterations, Tensor) and iterations.dim() > 0  # sequences have counts of their own
    return [
        Given(
            part,
            iterations[these] if counted else iterations,  # type: ignore[index]
            shows,
            Weights(scored, real, len(part.tokens) / size),
        )
        for part, these, (scored, real) in zip(parts, rows, weights, strict=True)
    ]


def _of_rows(batch: Batch, rows: slice) -> Batch:
    return batch.map(lambda tensor: tensor[rows])


def _counts(batch: Batch) -> Tensor:
    """Scored tokens, and positions that are no padding: ``(2,)``."""
    return torch.stack(((batch.targets != IGNORE).sum(), torch.as_tensor(batch.num_real()).to(batch.tokens)))
