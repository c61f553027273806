"""A normalisation between loop and coda."""

from __future__ import annotations

from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.slots import NormSlot
from mythos_blocks.declaring.spec import build
from mythos_blocks.declaring.widths import same_width
from mythos_blocks.interface.base import Interface


@component("interface", "norm")
class NormInterface(Interface):
    """The coda reads the normalised state.

    Args:
        state_width: Channels of the state that leaves the loop.
        width: Channels that the coda reads.
        norm: The normalisation, with a gain of its own.
    """

    def __init__(self, state_width: int, width: int, *, norm: NormSlot = "rms") -> None:
        super().__init__()
        same_width(self, state_width, width)
        self.norm = build(norm, width)

    def forward(self, h: Tensor, final_norm: nn.Module) -> Tensor:
        out: Tensor = self.norm(h)
        return out
