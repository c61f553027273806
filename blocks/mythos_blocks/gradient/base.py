"""The contract of a gradient policy."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from mythos_blocks.declaring.component import Component
from mythos_blocks.declaring.contract import contract
from mythos_blocks.loops.base import LoopSampler


@contract("gradient")
class GradientPolicy(Component):
    """Which iterations of a training step get a graph.

    Args:
        loops: The core's loop sampler.

    Attributes:
        needs_last_state: Whether :meth:`attach` makes the gradient, at the last state.
    """

    needs_last_state: bool = False

    def __init__(self, loops: LoopSampler) -> None:
        self.loops = loops

    def window(self, num_loops: int) -> int:
        """How many iterations, the last ones, get a graph out of ``num_loops``."""
        return num_loops

    def detaches(self, i: int, num_loops: int) -> bool:
        """Whether the state is cut off from what came before, ahead of the i-th iteration (0-based)."""
        return False

    def attach(self, h: Tensor, step: Callable[[Tensor], Tensor]) -> Tensor:
        """The last state as the loss shall see it.

        Args:
            h: The state after the last iteration.
            step: One more application of the last iteration, as a function of the state alone.
        """
        return h


def no_window_of_its_own(policy: GradientPolicy, loops: LoopSampler) -> None:
    """Refuse a sampler that declares a window beside a policy that declares one too.

    Raises:
        ValueError: ``loops.gradient_window`` is set.
    """
    if loops.gradient_window is not None:
        raise ValueError(
            f"gradient {policy.kind!r} and loops.gradient_window={loops.gradient_window} both say "
            "which iterations get gradient; leave gradient_window out"
        )
