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
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.cell = nn.GRUCell(width, width)

    def reset_parameters(self, generator: torch.Generator) -> None:
        for name in ("bias_ih", "bias_hh"):
            nn.init.zeros_(getattr(self.cell, name))

    def forward(self, h: Tensor, u: Tensor, carry: Tensor | None = None, t: Index = 0) -> tuple[Tensor, Tensor | None]:
        y: Tensor = self.cell(u.flatten(0, -2), h.flatten(0, -2))
        return y.view_as(h), None
