"""The contract of a depth signal."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from mythos_blocks.declaring.component import Module
from mythos_blocks.declaring.contract import contract
from mythos_blocks.tensors.rows import Index


@contract("depth_signal")
class DepthSignal(Module):
    """Tells the core which iteration it is in: a vector that is added to the state, or a change of the state.

    Attributes:
        reach: Iterations that the signal tells apart; ``None`` where every index has its own.
        additive: Whether the signal is a vector to add; otherwise :meth:`transform` changes the state.
    """

    reach: int | None = None
    additive: bool = True

    def forward(self, t: Index, positions: Tensor | None = None) -> Tensor | None:
        """The signal of iteration ``t`` (0-based) to add to the state; ``None`` for no signal.

        Args:
            t: The iteration; a 0-dimensional int64 tensor where the loop gives it.
            positions: Index of each position in its sequence, ``(positions,)`` or ``(batch, positions)``.

        Returns:
            ``(width,)``, or ``(..., positions, width)`` where it differs between positions.
        """
        raise NotImplementedError

    def ahead(self, num_loops: int) -> Sequence[Tensor | None] | None:
        """What :meth:`forward` gives for the first iterations, at all positions alike; ``None`` where each is asked."""
        return None

    def transform(self, h: Tensor, t: Index) -> Tensor:
        """The state as the core shall read it in iteration ``t``, for signals that are not added."""
        return h
