"""Injection by addition."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.component import component
from mythos_blocks.injection.base import Injection


@component("injection", "add")
class Add(Injection):
    """The core reads ``h + e`` ("recall": Bansal et al., arXiv 2202.05826)."""

    def __init__(self, width: int) -> None:
        super().__init__()

    def combine(self, h: Tensor, e: Tensor, signal: Tensor | None) -> Tensor:
        return super().combine(h + e, e, signal)
