"""No normalisation."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.frame.inlining import NormRun
from mythos_blocks.norm.base import Norm
from mythos_blocks.tensors.rows import Index


@component("norm", "none")
class NoNorm(Norm):
    """The vector as it is.

    Args:
        width: Channels, over which it normalises.
        max_loops: Iterations that tables with a row for each have room for.
    """

    def __init__(self, width: int, max_loops: int = 1) -> None:
        super().__init__()

    def forward(self, x: Tensor, t: Index | None = None) -> Tensor:
        return x

    def inlined(self) -> NormRun:
        return _as_it_is


def _as_it_is(x: Tensor, t: Index | None = None) -> Tensor:
    return x
