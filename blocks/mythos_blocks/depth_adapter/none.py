"""No depth adapter."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.depth_adapter.base import DepthAdapter
from mythos_blocks.tensors.rows import Index


@component("depth_adapter", "none")
class NoAdapter(DepthAdapter):
    """The core is the same function in every iteration.

    Args:
        width: Channels of the state.
        max_loops: Iterations that tables with a row for each have room for.
    """

    def __init__(self, width: int, max_loops: int) -> None:
        super().__init__()

    def forward(self, u: Tensor, t: Index) -> Tensor:
        return u
