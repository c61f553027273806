"""The gated feed-forward of today's transformers."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count
from mythos_blocks.feedforward.base import Feedforward
from mythos_blocks.frame.frame import Frame
from mythos_blocks.frame.inlining import Run, product


@component("feedforward", "swiglu")
class SwiGLU(Feedforward):
    """``down(silu(gate(x)) * up(x))`` (arXiv 2002.05202).

    Shapes: ``(..., width) -> (..., width)``.

    Args:
        width: Channels of what it reads and returns.
        max_loops: Iterations that tables with a row for each have room for.
        hidden: Inner channels. ``null`` takes ``4 * width // 3``, as OpenMythos does.
        bias: Learn biases.
    """

    def __init__(self, width: int, max_loops: int = 1, *, hidden: Count | None = None, bias: bool = False) -> None:
        super().__init__()
        hidden = hidden or 4 * width // 3
        self.gate = nn.Linear(width, hidden, bias=bias)
        self.up = nn.Linear(width, hidden, bias=bias)
        self.down = nn.Linear(hidden, width, bias=bias)

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        out: Tensor = self.down(F.silu(self.gate(x)) * self.up(x))
        return out

    def lies_flat(self) -> bool:
        return True

    def inlined(self, frame: Frame, like: Tensor) -> Run:
        gate, up, down = product(self.gate), product(self.up), product(self.down)
        return lambda x, now: down(F.silu(gate(x)) * up(x))
