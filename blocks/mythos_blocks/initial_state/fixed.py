"""The loop starts from a vector that was drawn once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Positive
from mythos_blocks.frame.frame import Frame
from mythos_blocks.initial_state.base import InitialState

# Standard deviation of a standard normal number between -2 and 2.
_CUT_STD = 0.8796256610342398


@component("initial_state", "fixed")
class FixedState(InitialState):
    """``h = h_0``, a vector drawn once and kept, as in HRM and TRM (arXiv 2506.21734).

    Args:
        width: Channels of the state.
        input_width: Channels of the input e; the width where it is left out.
        std: Standard deviation of the draw: a normal one, cut at two of its own standard deviations, and scaled up for
            what the cut takes off, as there.
    """

    vector: Tensor

    def __init__(self, width: int, input_width: int | None = None, *, std: Positive = 1.0) -> None:
        super().__init__()
        self.std = std
        self.register_buffer("vector", torch.zeros(width))

    def reset_parameters(self, generator: torch.Generator) -> None:
        std = self.std / _CUT_STD
        nn.init.trunc_normal_(self.vector, std=std, a=-2 * std, b=2 * std, generator=generator)

    def forward(self, e: Tensor, frame: Frame | None = None) -> Tensor:
        return self.vector.to(e.dtype).expand(*e.shape[:-1], -1)
