"""The core's output is added to the state."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.tensors.rows import Index
from mythos_blocks.update.base import Update


@component("update", "residual")
class Residual(Update):
    """``y = h + u``: a residual around the whole core.

    Args:
        width: Channels of the state.
    """

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, h: Tensor, u: Tensor, carry: Tensor | None = None, t: Index = 0) -> tuple[Tensor, Tensor | None]:
        return h + u, None
