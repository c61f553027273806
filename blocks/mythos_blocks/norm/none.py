"""No normalisation."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.declaring.component import Module, component


@component("norm", "none")
class NoNorm(Module):
    """The vector as it is."""

    def __init__(self, width: int, max_loops: int = 1) -> None:
        super().__init__()

    def forward(self, x: Tensor, t: int | None = None) -> Tensor:
        return x
