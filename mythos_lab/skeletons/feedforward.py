"""A feed-forward: two linears with a sine between them."""

from __future__ import annotations

from torch import Tensor, nn

from mythos_blocks import Feedforward, Frame, component
from mythos_blocks.declaring.types import Count


@component("feedforward", "skeleton")
class Skeleton(Feedforward):
    """``W2 sin(W1 x)``.

    Args:
        width: Channels of the state.
        max_loops: Iterations that training can draw, for what has a row for each.
        hidden: Channels between the linears; ``null`` takes twice the width.
    """

    def __init__(self, width: int, max_loops: int = 1, *, hidden: Count | None = None) -> None:
        super().__init__()
        hidden = hidden or 2 * width
        self.up, self.down = nn.Linear(width, hidden, bias=False), nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        y: Tensor = self.down(self.up(x).sin())
        return y
