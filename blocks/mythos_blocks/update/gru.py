"""A gated recurrent unit around the core."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.tensors.rows import Index
from mythos_blocks.update.base import Update


@component("update", "gru")
class GRU(Update):
    """A gated recurrent unit whose input is the core's output (arXiv 1406.1078), in the form that torch and cuDNN have.

    ``r, z = sigmoid(W [u; h])``, ``c = tanh(V u + r * (R h))``, ``y = (1 - z) * c + z * h``. The paper resets before
    the product, ``R (r * h)``. The unit of the Universal Transformer's code is another one: ``gru_transition``.

    Shapes: ``(..., width) -> (..., width)``.

    Args:
        width: Channels of the state.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        # Not torch's cell, which under CUDA's autocast carries the state on in half precision.
        self.of_output, self.of_state = nn.Linear(width, 3 * width), nn.Linear(width, 3 * width)

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.zeros_(self.of_output.bias)
        nn.init.zeros_(self.of_state.bias)

    def forward(self, h: Tensor, u: Tensor, carry: Tensor | None = None, t: Index = 0) -> tuple[Tensor, Tensor | None]:
        u_r, u_z, u_c = self.of_output(u).to(h.dtype).chunk(3, dim=-1)
        h_r, h_z, h_c = self.of_state(h).to(h.dtype).chunk(3, dim=-1)
        r, z = torch.sigmoid(u_r + h_r), torch.sigmoid(u_z + h_z)
        c = torch.tanh(u_c + r * h_c)
        return (1 - z) * c + z * h, None
