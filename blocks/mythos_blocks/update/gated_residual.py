"""A residual with a gate on the core's output."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count, Positive, Real
from mythos_blocks.tensors.rows import Index, column
from mythos_blocks.update.base import Update


@component("update", "gated_residual")
class GatedResidual(Update):
    """``y = h + alpha * g * u`` with ``g = sigmoid(w . h + b)``, one gate a position: MoR's update (arXiv 2507.10524).

    Shapes: ``(..., width) -> (..., width)``.

    Args:
        width: Channels of the state.
        bias: Initial b.
        alpha: Factor of the gate (MoR 0.1).
        num_gates: Gates, one for each of the first iterations, the last for all later ones.
    """

    def __init__(self, width: int, *, bias: Real = 0.0, alpha: Positive = 1.0, num_gates: Count = 1) -> None:
        super().__init__()
        self.initial_bias, self.alpha = bias, alpha
        self.gate = nn.Linear(width, num_gates)

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.constant_(self.gate.bias, self.initial_bias)

    def forward(self, h: Tensor, u: Tensor, carry: Tensor | None = None, t: Index = 0) -> tuple[Tensor, Tensor | None]:
        gate = torch.sigmoid(column(self.gate(h), t).to(h.dtype)).unsqueeze(-1)
        return h + (gate if self.alpha == 1 else self.alpha * gate) * u, None
