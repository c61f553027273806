"""The contract of an interface."""

from __future__ import annotations

from torch import Tensor, nn

from mythos_blocks.declaring.component import Module
from mythos_blocks.declaring.contract import contract


@contract("interface")
class Interface(Module):
    """The way from the loop's state to the coda.

    Shapes: ``(batch, positions, state_width) -> (batch, positions, width)``.
    """

    def forward(self, h: Tensor, final_norm: nn.Module) -> Tensor:
        """What the coda reads of ``h``; ``final_norm`` is the model's norm before the head."""
        raise NotImplementedError
