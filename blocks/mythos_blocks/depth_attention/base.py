"""The contract of attention over iterations."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.declaring.component import Module
from mythos_blocks.declaring.contract import contract
from mythos_blocks.frame.frame import Frame


@contract("depth_attention")
class DepthAttention(Module):
    """How a position reads its own earlier states: ``(batch, positions, width) -> (batch, positions, width)``."""

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        """What each position reads of earlier iterations, through ``frame.over_depth``."""
        raise NotImplementedError
