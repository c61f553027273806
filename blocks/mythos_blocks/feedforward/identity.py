"""No computation of a position on its own."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.feedforward.base import Feedforward
from mythos_blocks.frame.frame import Frame


@component("feedforward", "identity")
class Identity(Feedforward):
    """The input itself: layers that only attend, as in the recall models of zoology (arXiv 2312.04927).

    Shapes: ``(..., width) -> (..., width)``.

    Args:
        width: Channels of what it reads and returns.
        max_loops: Iterations that tables with a row for each have room for.
    """

    def __init__(self, width: int, max_loops: int = 1) -> None:
        super().__init__()

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        return x
