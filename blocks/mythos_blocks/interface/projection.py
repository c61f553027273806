"""A linear map between loop and coda."""

from __future__ import annotations

from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.interface.base import Interface


@component("interface", "projection")
class ProjectionInterface(Interface):
    """The coda reads ``C h``, as in Parcae (arXiv 2604.12946), whose width may be another.

    Args:
        state_width: Channels of the state that leaves the loop.
        width: Channels that the coda reads.
        bias: Learn a bias.
    """

    def __init__(self, state_width: int, width: int, *, bias: bool = False) -> None:
        super().__init__()
        self.projection = nn.Linear(state_width, width, bias=bias)

    def forward(self, h: Tensor, final_norm: nn.Module) -> Tensor:
        out: Tensor = self.projection(h)
        return out
