"""No depth signal."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.depth_signal.base import DepthSignal
from mythos_blocks.tensors.rows import Index


@component("depth_signal", "none")
class NoSignal(DepthSignal):
    """Every iteration is anonymous: the core cannot tell them apart.

    Args:
        width: Channels of the state.
        max_loops: Iterations that tables with a row for each have room for.
    """

    def __init__(self, width: int, max_loops: int) -> None:
        super().__init__()

    def forward(self, t: Index, positions: Tensor | None = None) -> None:
        return None

    def ahead(self, num_loops: int) -> Sequence[None]:
        return [None] * num_loops
