"""A state to begin with: the input, made small."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks import Frame, InitialState, component
from mythos_blocks.declaring.types import Positive


@component("initial_state", "skeleton")
class Skeleton(InitialState):
    """``h = share * e``.

    Args:
        width: Channels of the state.
        input_width: Channels of the input e; the width where it is left out.
        share: Factor on the input.
    """

    reads_input = True

    def __init__(self, width: int, input_width: int | None = None, *, share: Positive = 0.1) -> None:
        super().__init__()
        if input_width not in (None, width):
            raise ValueError(f"input_width={input_width} must be the width of the state, {width}")
        self.share = share

    def forward(self, e: Tensor, frame: Frame | None = None) -> Tensor:
        return self.share * e
