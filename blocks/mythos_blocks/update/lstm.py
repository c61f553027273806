"""A long short-term memory around the core."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.slots import NormSlot
from mythos_blocks.declaring.spec import build
from mythos_blocks.declaring.types import Real
from mythos_blocks.tensors.rows import Index
from mythos_blocks.update.base import Update


@component("update", "lstm")
class LSTM(Update):
    """A long short-term memory whose input is the core's output (Hochreiter and Schmidhuber, 1997). The cell state is
    carried from iteration to iteration, and starts at zero.

    ``i, f, g, o = W [norm(u); h] + b``, ``c' = sigmoid(f) * c + sigmoid(i) * tanh(g)``,
    ``y = norm(sigmoid(o) * tanh(c'))``. With ``norm: layer`` it is the recurrence type ``lstm`` of T2T's Universal
    Transformer.

    Shapes: ``(..., width) -> (..., width)``.

    Args:
        width: Channels of the state.
        forget_bias: Initial bias of the forget gate.
        norm: The normalisation of the core's output and of the next state; T2T's is ``layer`` with ``eps: 1e-6``.
    """

    def __init__(self, width: int, *, forget_bias: Real = 1.0, norm: NormSlot = "none") -> None:
        super().__init__()
        self.forget_bias = forget_bias
        self.input_norm, self.output_norm = build(norm, width), build(norm, width)
        self.gates = nn.Linear(2 * width, 4 * width)

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.zeros_(self.gates.bias)
        width = self.gates.out_features // 4
        nn.init.constant_(self.gates.bias[width : 2 * width], self.forget_bias)

    def start(self, h: Tensor) -> Tensor:
        return torch.zeros_like(h)

    def forward(self, h: Tensor, u: Tensor, carry: Tensor | None = None, t: Index = 0) -> tuple[Tensor, Tensor | None]:
        cell = self.start(h) if carry is None else carry
        i, f, g, o = self.gates(torch.cat((self.input_norm(u), h), dim=-1)).to(h.dtype).chunk(4, dim=-1)
        cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
        return self.output_norm(torch.sigmoid(o) * torch.tanh(cell)), cell
