"""Injection by addition."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.widths import same_width
from mythos_blocks.injection.base import Injection
from mythos_blocks.tensors.rows import Index


@component("injection", "add")
class Add(Injection):
    """The core reads ``h + e`` ("recall": Bansal et al., arXiv 2202.05826).

    Args:
        width: Channels of the state.
        input_width: Channels of the input e; the width where it is left out.
    """

    def __init__(self, width: int, input_width: int | None = None) -> None:
        super().__init__()
        same_width(self, width, input_width)

    def combine(self, h: Tensor, e: Tensor, signal: Tensor | None = None, t: Index = 0) -> Tensor:
        return super().combine(h + e, e, signal, t)
