"""The core's output is the next state."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.component import Module, component


@component("update", "replace")
class Replace(Module):
    """``y = u``: the core's output is the next state (Universal Transformer, Huginn, Parcae)."""

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, h: Tensor, u: Tensor) -> Tensor:
        return u
