"""Back-propagation through the last iteration."""

from __future__ import annotations

from mythos_blocks.declaring.component import component
from mythos_blocks.gradient.base import GradientPolicy, no_window_of_its_own
from mythos_blocks.loops.base import LoopSampler


@component("gradient", "one_step")
class OneStep(GradientPolicy):
    """The last iteration alone gets gradient: the one-step approximation of HRM (arXiv 2506.21734, section 2).

    Args:
        loops: The sampler of loop counts, built.

    Raises:
        ValueError: The sampler declares a window too.
    """

    def __init__(self, loops: LoopSampler) -> None:
        super().__init__(loops)
        no_window_of_its_own(self, loops)

    def window(self, num_loops: int) -> int:
        return 1
