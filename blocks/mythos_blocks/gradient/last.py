"""Back-propagation through the last iterations."""

from __future__ import annotations

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count
from mythos_blocks.gradient.base import GradientPolicy, no_window_of_its_own
from mythos_blocks.loops.base import LoopSampler


@component("gradient", "last")
class LastIterations(GradientPolicy):
    """Truncated back-propagation: the last ``num_loops`` iterations get gradient (Huginn: 8).

    Args:
        loops: The sampler of loop counts, built.
        num_loops: Iterations with gradient.

    Raises:
        ValueError: The sampler declares a window too.
    """

    def __init__(self, loops: LoopSampler, *, num_loops: Count = 4) -> None:
        super().__init__(loops)
        no_window_of_its_own(self, loops)
        self.num_loops = num_loops

    def window(self, num_loops: int) -> int:
        return min(num_loops, self.num_loops)
