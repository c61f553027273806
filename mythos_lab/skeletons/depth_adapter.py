"""A depth adapter: one gain for each iteration."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks import DepthAdapter, component
from mythos_blocks.tensors.rows import Index, row


@component("depth_adapter", "skeleton")
class Skeleton(DepthAdapter):
    """``gain[t] * u``; iterations beyond the trained ones have the last gain.

    Args:
        width: Channels of the state.
        max_loops: Iterations that training can draw.
    """

    def __init__(self, width: int, max_loops: int) -> None:
        super().__init__()
        self.reach = max_loops
        self.gain = nn.Parameter(torch.ones(max_loops, 1))

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.ones_(self.gain)

    def forward(self, u: Tensor, t: Index) -> Tensor:
        return row(self.gain, t, "clamp") * u

    def table(self) -> nn.Parameter:
        return self.gain
