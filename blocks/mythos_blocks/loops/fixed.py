"""Always the same loop count."""

from __future__ import annotations

import torch
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Loops
from mythos_blocks.loops.base import GradientWindow, LoopSampler


@component("loops", "fixed")
class Fixed(LoopSampler):
    """The same loop count in every step.

    Args:
        num_loops: The loop count; 1 applies the core once, as a transformer without a loop does.
        gradient_window: Gradient flows through the last so many iterations; ``null`` for all, ``half_mean`` for half
            the mean.
    """

    def __init__(self, *, num_loops: Loops = 1, gradient_window: GradientWindow = None) -> None:
        self.num_loops, self.gradient_window = num_loops, gradient_window

    def pmf(self) -> Tensor:
        pmf = torch.zeros(self.num_loops + 1, dtype=torch.float64, device="cpu")
        pmf[-1] = 1
        return pmf
