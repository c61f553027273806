"""No interface."""

from __future__ import annotations

from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.widths import same_width
from mythos_blocks.interface.base import Interface


@component("interface", "none")
class NoInterface(Interface):
    """The coda reads the state as it is.

    Args:
        state_width: Channels of the state that leaves the loop.
        width: Channels that the coda reads.
    """

    def __init__(self, state_width: int, width: int) -> None:
        super().__init__()
        same_width(self, state_width, width)

    def forward(self, h: Tensor, final_norm: nn.Module) -> Tensor:
        return h
