"""No position embedding."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.position_embedding.base import PositionEmbedding


@component("position_embedding", "none")
class NoPositions(PositionEmbedding):
    """Embedded tokens bear no position.

    Shapes: ``(batch, positions, width) -> (batch, positions, width)``.

    Args:
        width: Channels of the residual stream.
    """

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, embedded: Tensor, positions: Tensor | None = None) -> Tensor:
        return embedded
