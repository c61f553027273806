"""What a sweep measured: losses by cell, seeds inside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mythos_lab.measures import student


@dataclass(frozen=True)
class Cell:
    """Runs that differ in nothing but their seed.

    Attributes:
        num_once: Parameters used once in a forward pass.
        num_rec: Parameters of the looped core.
        loops: How often the core is applied; the mean, where training samples it.
        tokens: Training tokens.
        losses: Validation losses, by seed, nats per token.
    """

    num_once: int
    num_rec: int
    loops: float
    tokens: int
    losses: dict[int, float]

    @property
    def log_loss(self) -> float:
        """Mean over the seeds of the loss's logarithm."""
        return float(np.mean(np.log(list(self.losses.values()))))

    @property
    def num_stored(self) -> int:
        """Parameters stored, of those that are counted."""
        return self.num_once + self.num_rec

    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the mean loss, Student's; unbounded for one seed."""
        return student.interval(list(self.losses.values()))


def seed_noise(cells: Sequence[Cell]) -> tuple[float, int]:
    """Standard deviation of the loss's logarithm between seeds, pooled over cells, and its degrees of freedom.

    ``(nan, 0)`` where no cell has two seeds.
    """
    squares, freedom = 0.0, 0
    for cell in cells:
        logs = np.log(list(cell.losses.values()))
        squares += float(((logs - logs.mean()) ** 2).sum())
        freedom += len(logs) - 1
    return (math.sqrt(squares / freedom), freedom) if freedom else (math.nan, 0)


def mean_noise(cells: Sequence[Cell]) -> float:
    """Standard deviation of a cell's mean log loss by its seeds; ``nan`` where no cell has two seeds."""
    noise, _ = seed_noise(cells)
    return noise * math.sqrt(float(np.mean([1 / len(cell.losses) for cell in cells])))
