"""Back-propagation through the last iterations."""

from __future__ import annotations

from mythos_blocks.declaring.component import component
from mythos_blocks.gradient.base import GradientPolicy
from mythos_blocks.loops.base import LoopSampler


@component("gradient", "window")
class Window(GradientPolicy):
    """Back-propagation through the iterations of ``loops.gradient_window``, which is all of them unless it is set.

    Args:
        loops: The sampler of loop counts, built.
    """

    def __init__(self, loops: LoopSampler) -> None:
        super().__init__(loops)

    def window(self, num_loops: int) -> int:
        return self.loops.window(num_loops)
