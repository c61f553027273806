"""Injection that scales and shifts the state."""

from __future__ import annotations

from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.injection.base import Injection
from mythos_blocks.tensors.rows import Index


@component("injection", "modulated")
class Modulated(Injection):
    """The core reads ``h * (1 + scale(e)) + shift(e)`` with linear maps of e (FiLM, arXiv 1709.07871).

    The injection of that name in Huginn's research code modulates the layers by the state and never reads e, so this
    is not it. The widths of state and input may differ.

    Args:
        width: Channels of the state.
        input_width: Channels of the input e; the width where it is left out.
    """

    def __init__(self, width: int, input_width: int | None = None) -> None:
        super().__init__()
        self.modulation = nn.Linear(input_width or width, 2 * width)

    def combine(self, h: Tensor, e: Tensor, signal: Tensor | None = None, t: Index = 0) -> Tensor:
        scale, shift = self.modulation(e).to(h.dtype).chunk(2, dim=-1)
        return super().combine(h * (1 + scale) + shift, e, signal, t)
