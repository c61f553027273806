"""No prefix."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.prefix.base import Prefix


@component("prefix", "none")
class NoPrefix(Prefix):
    """Every position is a token.

    Shapes: ``(batch, positions, width) -> (batch, positions, width)``.

    Args:
        width: Channels of the residual stream.
    """

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, embedded: Tensor, tokens: Tensor | None, positions: Tensor | None = None) -> Tensor:
        return embedded
