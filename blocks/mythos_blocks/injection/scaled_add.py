"""Injection by addition with a learned scale."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Real
from mythos_blocks.declaring.widths import same_width
from mythos_blocks.injection.base import Injection
from mythos_blocks.tensors.rows import Index


@component("injection", "scaled_add")
class ScaledAdd(Injection):
    """The core reads ``h + s * e`` with a learned s for each channel.

    Args:
        width: Channels of the state.
        input_width: Channels of the input e; the width where it is left out.
        initial_scale: Initial s.
    """

    def __init__(self, width: int, input_width: int | None = None, *, initial_scale: Real = 1.0) -> None:
        super().__init__()
        same_width(self, width, input_width)
        self.initial_scale = initial_scale
        self.scale = nn.Parameter(torch.full((width,), initial_scale))

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.constant_(self.scale, self.initial_scale)

    def combine(self, h: Tensor, e: Tensor, signal: Tensor | None = None, t: Index = 0) -> Tensor:
        return super().combine(h + self.scale.to(h.dtype) * e, e, signal, t)
