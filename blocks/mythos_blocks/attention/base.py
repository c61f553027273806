"""The contract of attention over positions."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.declaring.component import Module
from mythos_blocks.declaring.contract import contract
from mythos_blocks.frame.frame import Frame
from mythos_blocks.frame.places import Turning


@contract("attention")
class Attention(Module):
    """How positions read each other: ``(batch, positions, width) -> (batch, positions, width)``.

    Without a frame it is causal.
    """

    @property
    def turning(self) -> Turning | None:
        """The rotation by position that it asks its frame for, which passes make once; ``None`` where there is none."""
        return None

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        """What each position reads of those that the frame's mask lets it see; without a frame, of those before it.

        Shapes: ``(batch, positions, width) -> (batch, positions, width)``.

        Args:
            x: What the layer reads.
            frame: The mask, positions and tokens of this pass; ``Frame(AttentionMask(causal=False))`` lets every
                position read all. ``None`` is causal, with positions counted from 0.
        """
        raise NotImplementedError
