"""Injection by a linear map of state and input."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.injection.base import Injection
from mythos_blocks.tensors.rows import Index


@component("injection", "concat")
class Concat(Injection):
    """The core reads ``W [h; e]``: Huginn's adapter (arXiv 2502.05171, section 3.2).

    The widths of state and input may differ.

    Args:
        width: Channels of the state.
        input_width: Channels of the input e; the width where it is left out.
        bias: Learn a bias, as Parcae does with ``bias``.
    """

    def __init__(self, width: int, input_width: int | None = None, *, bias: bool = False) -> None:
        super().__init__()
        self.adapter = nn.Linear(width + (input_width or width), width, bias=bias)

    def combine(self, h: Tensor, e: Tensor, signal: Tensor | None = None, t: Index = 0) -> Tensor:
        return super().combine(self.adapter(torch.cat((h, e), dim=-1)), e, signal, t)
