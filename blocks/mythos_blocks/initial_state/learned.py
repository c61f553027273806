"""The loop starts from a learned vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Positive
from mythos_blocks.frame.frame import Frame
from mythos_blocks.initial_state.base import InitialState


@component("initial_state", "learned")
class LearnedState(InitialState):
    """``h = h_0``, a learned vector, the same at every position.

    Args:
        width: Channels of the state.
        input_width: Channels of the input e; the width where it is left out.
        std: Standard deviation of its initial value.
    """

    def __init__(self, width: int, input_width: int | None = None, *, std: Positive = 0.02) -> None:
        super().__init__()
        self.std = std
        self.vector = nn.Parameter(torch.zeros(width))

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.normal_(self.vector, std=self.std, generator=generator)

    def forward(self, e: Tensor, frame: Frame | None = None) -> Tensor:
        # No view: what spreads weights over processes frees them once this is through.
        return self.vector.to(e.dtype).expand(*e.shape[:-1], -1).clone()
