"""A gradient policy: the last iterations alone are differentiated."""

from __future__ import annotations

from mythos_blocks import GradientPolicy, component
from mythos_blocks.declaring.types import Count
from mythos_blocks.gradient.base import no_window_of_its_own
from mythos_blocks.loops.base import LoopSampler


@component("gradient", "skeleton")
class Skeleton(GradientPolicy):
    """The last ``num_iterations`` iterations get gradient.

    Args:
        loops: The sampler of loop counts, built.
        num_iterations: Iterations with gradient.
    """

    def __init__(self, loops: LoopSampler, *, num_iterations: Count = 2) -> None:
        super().__init__(loops)
        no_window_of_its_own(self, loops)
        self.num_iterations = num_iterations

    def window(self, num_loops: int) -> int:
        return min(num_loops, self.num_iterations)
