"""A residual with a gate on the core's output."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Real
from mythos_blocks.tensors.rows import Index
from mythos_blocks.update.base import Update


@component("update", "gated_residual")
class GatedResidual(Update):
    """``y = h + g * u`` with ``g = sigmoid(w . h + b)``, one gate a position: MoR's update (arXiv 2507.10524).

    Shapes: ``(..., width) -> (..., width)``.

    Args:
        width: Channels of the state.
        bias: Initial b.
    """

    def __init__(self, width: int, *, bias: Real = 0.0) -> None:
        super().__init__()
        self.initial_bias = bias
        self.gate = nn.Linear(width, 1)

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.constant_(self.gate.bias, self.initial_bias)

    def forward(self, h: Tensor, u: Tensor, carry: Tensor | None = None, t: Index = 0) -> tuple[Tensor, Tensor | None]:
        return h + torch.sigmoid(self.gate(h).to(h.dtype)) * u, None
