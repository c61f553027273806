"""The contract of a feed-forward."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.declaring.component import Module
from mythos_blocks.declaring.contract import contract
from mythos_blocks.frame.frame import Frame


@contract("feedforward")
class Feedforward(Module):
    """What each position computes on its own: ``(batch, positions, width) -> (batch, positions, width)``."""

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        """What each position makes of its vector."""
        raise NotImplementedError
