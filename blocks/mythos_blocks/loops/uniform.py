"""Uniform loop counts."""

from __future__ import annotations

import torch
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Loops
from mythos_blocks.loops.base import GradientWindow, LoopSampler


@component("loops", "uniform")
class Uniform(LoopSampler):
    """Every loop count from ``low`` to ``high`` alike, both included (arXiv 2603.21676).

    Args:
        low: The least loop count.
        high: The largest loop count.
        gradient_window: Gradient flows through the last so many iterations; ``null`` for all, ``half_mean`` for half
            the mean.

    Raises:
        ValueError: ``low`` exceeds ``high``.
    """

    def __init__(self, *, low: Loops = 1, high: Loops = 8, gradient_window: GradientWindow = None) -> None:
        if low > high:
            raise ValueError(f"low={low} exceeds high={high}")
        self.low, self.high, self.gradient_window = low, high, gradient_window

    def pmf(self) -> Tensor:
        pmf = torch.zeros(self.high + 1, dtype=torch.float64, device="cpu")
        pmf[self.low :] = 1 / (self.high + 1 - self.low)
        return pmf
