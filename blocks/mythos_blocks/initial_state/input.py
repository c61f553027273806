"""The loop starts from its input."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.widths import same_width
from mythos_blocks.frame.frame import Frame
from mythos_blocks.initial_state.base import InitialState


@component("initial_state", "input")
class InputState(InitialState):
    """``h = e``: the loop starts from what the prelude made (Universal Transformer, OpenMythos).

    Args:
        width: Channels of the state.
        input_width: Channels of the input e; the width where it is left out.
    """

    reads_input = True

    def __init__(self, width: int, input_width: int | None = None) -> None:
        super().__init__()
        same_width(self, width, input_width)

    def forward(self, e: Tensor, frame: Frame | None = None) -> Tensor:
        return e
