"""A normalisation of the state itself."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.slots import NormSlot
from mythos_blocks.declaring.spec import build
from mythos_blocks.tensors.rows import Index
from mythos_blocks.update.base import Update


@component("update", "outer_norm")
class OuterNorm(Update):
    """``y = norm(u)`` or ``norm(h + u)``: the state that is carried on is normalised (Labovich, arXiv 2604.15259).

    Shapes: ``(..., width) -> (..., width)``.

    Args:
        width: Channels of the state.
        of: What is normalised: the core's ``output``, or the ``residual`` sum of state and output.
        norm: The normalisation.
    """

    def __init__(self, width: int, *, of: Literal["output", "residual"] = "output", norm: NormSlot = "rms") -> None:
        super().__init__()
        self.residual = of == "residual"
        self.norm = build(norm, width)

    def forward(self, h: Tensor, u: Tensor, carry: Tensor | None = None, t: Index = 0) -> tuple[Tensor, Tensor | None]:
        return self.norm(h + u if self.residual else u), None
