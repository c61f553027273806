"""Back-propagation in segments."""

from __future__ import annotations

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count
from mythos_blocks.gradient.base import GradientPolicy, no_window_of_its_own
from mythos_blocks.loops.base import LoopSampler


@component("gradient", "segments")
class Segments(GradientPolicy):
    """Every iteration gets gradient, but none flows from one segment of iterations back into the one before.

    With an objective over every iteration this is the deep supervision of HRM and TRM (segments of one).

    Args:
        loops: The sampler of loop counts, built.
        length: Iterations in a segment.

    Raises:
        ValueError: The sampler declares a window too.
    """

    def __init__(self, loops: LoopSampler, *, length: Count = 1) -> None:
        super().__init__(loops)
        no_window_of_its_own(self, loops)
        self.length = length

    def detaches(self, i: int, num_loops: int) -> bool:
        return i > 0 and i % self.length == 0
