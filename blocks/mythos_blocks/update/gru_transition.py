"""The gated recurrent unit of the Universal Transformer's code."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.slots import NormSlot
from mythos_blocks.declaring.spec import build
from mythos_blocks.declaring.types import Real
from mythos_blocks.tensors.rows import Index
from mythos_blocks.update.base import Update


@component("update", "gru_transition")
class GRUTransition(Update):
    """The gated unit of T2T's Universal Transformer (recurrence type ``gru``), which keeps its input and not its state.

    ``v = norm(u)``, ``z, r = sigmoid(W [v; h] + b)``, ``c = tanh(V [v; r * h])``, ``y = norm((1 - z) * v + z * c)``.

    Shapes: ``(..., width) -> (..., width)``.

    Args:
        width: Channels of the state.
        bias: Initial bias of both gates.
        norm: The normalisation of the core's output and of the next state; T2T's is ``layer`` with ``eps: 1e-6``.
    """

    def __init__(self, width: int, *, bias: Real = 1.0, norm: NormSlot = "layer") -> None:
        super().__init__()
        self.initial_bias = bias
        self.gates = nn.Linear(2 * width, 2 * width)
        self.candidate = nn.Linear(2 * width, width)
        self.input_norm, self.output_norm = build(norm, width), build(norm, width)

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.constant_(self.gates.bias, self.initial_bias)
        nn.init.zeros_(self.candidate.bias)

    def forward(self, h: Tensor, u: Tensor, carry: Tensor | None = None, t: Index = 0) -> tuple[Tensor, Tensor | None]:
        u = self.input_norm(u)
        z, r = torch.sigmoid(self.gates(torch.cat((u, h), dim=-1)).to(h.dtype)).chunk(2, dim=-1)
        c = torch.tanh(self.candidate(torch.cat((u, r * h), dim=-1)).to(h.dtype))
        return self.output_norm((1 - z) * u + z * c), None
