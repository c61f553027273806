"""The state before the first iteration."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.component import Module, component
from mythos_blocks.frame import Frame
from mythos_blocks.widths import same_width


@component("initial_state", "input")
class Input(Module):
    """``h = e``: the loop starts from what the prelude made (Universal Transformer, OpenMythos)."""

    def __init__(self, width: int, input_width: int | None = None) -> None:
        super().__init__()
        same_width(self, width, input_width)

    def forward(self, e: Tensor, frame: Frame | None = None) -> Tensor:
        return e


@component("initial_state", "zeros")
class Zeros(Module):
    """``h = 0``: all that the loop knows of the input comes through the injection."""

    def __init__(self, width: int, input_width: int | None = None) -> None:
        super().__init__()
        self.width = width

    def forward(self, e: Tensor, frame: Frame | None = None) -> Tensor:
        return e.new_zeros(*e.shape[:-1], self.width)


__all__ = ["Input", "Zeros"]
