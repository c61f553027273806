"""Injection through a learned gate."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Real
from mythos_blocks.declaring.widths import same_width
from mythos_blocks.injection.base import Injection
from mythos_blocks.tensors.rows import Index


@component("injection", "blend")
class Blend(Injection):
    """The core reads ``z * e + (1 - z) * h`` with ``z = sigmoid(W [h; e] + b)``: every channel lies between the two.

    Args:
        width: Channels of the state.
        input_width: Channels of the input e; the width where it is left out.
        bias: Initial b; negative values begin near the state.
    """

    def __init__(self, width: int, input_width: int | None = None, *, bias: Real = 0.0) -> None:
        super().__init__()
        same_width(self, width, input_width)
        self.initial_bias = bias
        self.gate = nn.Linear(2 * width, width)

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.constant_(self.gate.bias, self.initial_bias)

    def combine(self, h: Tensor, e: Tensor, signal: Tensor | None = None, t: Index = 0) -> Tensor:
        z = torch.sigmoid(self.gate(torch.cat((h, e), dim=-1)).to(h.dtype))
        return super().combine(z * e + (1 - z) * h, e, signal, t)
