"""A depth signal along one learned direction."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks import DepthSignal, component
from mythos_blocks.declaring.types import Positive
from mythos_blocks.tensors.rows import Index


@component("depth_signal", "skeleton")
class Skeleton(DepthSignal):
    """``(t + 1) / max_loops * direction`` is added to the state.

    Args:
        width: Channels of the state.
        max_loops: Iterations that training can draw.
        std: Standard deviation of the initial direction.
    """

    def __init__(self, width: int, max_loops: int, *, std: Positive = 0.1) -> None:
        super().__init__()
        self.max_loops, self.std = max_loops, std
        self.direction = nn.Parameter(torch.zeros(width))

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.normal_(self.direction, std=self.std, generator=generator)

    def forward(self, t: Index, positions: Tensor | None = None) -> Tensor:
        return (t + 1) / self.max_loops * self.direction
