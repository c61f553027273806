"""The core's output is added to the state."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.component import Module, component


@component("update", "residual")
class Residual(Module):
    """``y = h + u``: a residual around the whole core."""

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, h: Tensor, u: Tensor) -> Tensor:
        return h + u
