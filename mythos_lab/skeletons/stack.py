"""A stack: layers of which each sees the input again."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mythos_blocks import Frame, Stack, component


@component("stack", "skeleton")
class Skeleton(Stack):
    """``x + stack(x)``: the input is carried past all layers.

    Args:
        width: Channels of the residual stream.
    """

    def __init__(self, width: int, **fields: Any) -> None:
        super().__init__(width, **fields)

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        return x + super().forward(x, frame)
