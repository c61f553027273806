"""A gate between the old state and the core's output."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Real
from mythos_blocks.tensors.rows import Index
from mythos_blocks.update.base import Update


@component("update", "highway")
class Highway(Update):
    """``y = z * u + (1 - z) * h`` with ``z = sigmoid(W [u; h] + b)`` per channel (arXiv 2603.21676, section 3).

    Shapes: ``(..., width), (..., width) -> (..., width)``.

    Args:
        width: Channels of the state.
        bias: Initial b. Negative values start the loop near the identity; the paper takes -2 (z = 0.12).
    """

    def __init__(self, width: int, *, bias: Real = -2.0) -> None:
        super().__init__()
        self.initial_bias = bias
        self.gate = nn.Linear(2 * width, width)

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.constant_(self.gate.bias, self.initial_bias)

    def forward(self, h: Tensor, u: Tensor, carry: Tensor | None = None, t: Index = 0) -> tuple[Tensor, Tensor | None]:
        # In the state's dtype: under autocast, 1 - z would keep the state at 1 for every z below 2 ** -9.
        z = torch.sigmoid(self.gate(torch.cat((u, h), dim=-1)).to(h.dtype))
        return z * u + (1 - z) * h, None
