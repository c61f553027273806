"""The loop starts from nothing."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.frame.frame import Frame
from mythos_blocks.initial_state.base import InitialState


@component("initial_state", "zeros")
class ZeroState(InitialState):
    """``h = 0``: all that the loop knows of the input comes through the injection.

    Args:
        width: Channels of the state.
        input_width: Channels of the input e; the width where it is left out.
    """

    def __init__(self, width: int, input_width: int | None = None) -> None:
        super().__init__()
        self.width = width

    def forward(self, e: Tensor, frame: Frame | None = None) -> Tensor:
        return e.new_zeros(*e.shape[:-1], self.width)
