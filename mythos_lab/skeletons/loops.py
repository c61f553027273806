"""A sampler of loop counts: a few or many."""

from __future__ import annotations

import torch
from torch import Tensor

from mythos_blocks import LoopSampler, component
from mythos_blocks.declaring.types import Count


@component("loops", "skeleton")
class Skeleton(LoopSampler):
    """``few`` iterations or ``many``, each in half of the steps.

    Args:
        few: The smaller count.
        many: The larger one.
    """

    gradient_window = None

    def __init__(self, *, few: Count = 1, many: Count = 4) -> None:
        if few >= many:
            raise ValueError(f"few={few} must be below many={many}")
        self.few, self.many = few, many

    def pmf(self) -> Tensor:
        pmf = torch.zeros(self.many + 1, dtype=torch.float64)
        pmf[self.few] = pmf[self.many] = 0.5
        return pmf
