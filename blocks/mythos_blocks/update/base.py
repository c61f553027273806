"""The contract of an update."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.declaring.component import Module
from mythos_blocks.declaring.contract import contract
from mythos_blocks.tensors.rows import Index


@contract("update")
class Update(Module):
    """How the core's output u becomes the next state.

    Shapes: ``(..., width)`` for states. An update that remembers more than the state (a cell, lanes) keeps it
    in ``carry``, ``(batch, positions, ...)``.
    """

    def start(self, h: Tensor) -> Tensor | None:
        """What is carried into the first iteration; ``None`` for nothing."""
        return None

    def forward(self, h: Tensor, u: Tensor, carry: Tensor | None = None, t: Index = 0) -> tuple[Tensor, Tensor | None]:
        """The state that the update proposes, and what it carries on.

        Args:
            h: The state before the iteration.
            u: The core's output.
            carry: What :meth:`start` or the iteration before gave.
            t: The iteration, 0-based; a 0-dimensional int64 tensor where the loop gives it.
        """
        raise NotImplementedError
