"""The contract of a depth signal."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.component import Module


class DepthSignal(Module):
    """A vector for each iteration, added to the state before the core reads it.

    Attributes:
        reach: Iterations that the signal tells apart; ``None`` where every index has its own.
    """

    reach: int | None = None

    def forward(self, t: int) -> Tensor | None:
        """The signal of iteration ``t`` (0-based), ``(width,)``; ``None`` for no signal."""
        raise NotImplementedError
