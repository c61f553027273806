"""The feed-forward with squared ReLU."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count, Positive
from mythos_blocks.feedforward.base import Feedforward
from mythos_blocks.frame.frame import Frame
from mythos_blocks.frame.inlining import Run, product


@component("feedforward", "relu2")
class ReLU2(Feedforward):
    """``down(factor * relu(up(x)) ** 2)`` (Primer, arXiv 2109.08668), as in Parcae.

    Shapes: ``(..., width) -> (..., width)``.

    Args:
        width: Channels of what it reads and returns.
        max_loops: Iterations that tables with a row for each have room for.
        hidden: Inner channels. ``null`` takes ``4 * width``.
        factor: Factor on the square; Parcae's code has 0.5.
        bias: Learn biases.
    """

    def __init__(
        self,
        width: int,
        max_loops: int = 1,
        *,
        hidden: Count | None = None,
        factor: Positive = 1.0,
        bias: bool = False,
    ) -> None:
        super().__init__()
        hidden = hidden or 4 * width
        self.factor = factor
        self.up = nn.Linear(width, hidden, bias=bias)
        self.down = nn.Linear(hidden, width, bias=bias)

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        out: Tensor = self.down(F.relu(self.up(x)).square() * self.factor)
        return out

    def lies_flat(self) -> bool:
        return True

    def inlined(self, frame: Frame, like: Tensor) -> Run:
        up, down, factor = product(self.up), product(self.down), self.factor
        return lambda x, now: down(F.relu(up(x)).square() * factor)
