"""A gain and an offset for each iteration."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.depth_adapter.base import DepthAdapter
from mythos_blocks.tensors.rows import Beyond, Index, row


@component("depth_adapter", "loop_affine")
class LoopAffine(DepthAdapter):
    """``gain[t] * u + offset[t]`` per channel: the smallest adapter that tells iterations apart.

    Args:
        width: Channels of the state.
        max_loops: Iterations that tables with a row for each have room for.
        beyond: What iterations past the trained ones read: the last row, zeros, the line through the last two rows,
            or an error.
    """

    def __init__(self, width: int, max_loops: int, *, beyond: Beyond = "clamp") -> None:
        super().__init__()
        self.reach, self.beyond = max_loops, beyond
        self.gain = nn.Parameter(torch.ones(max_loops, width))
        self.offset = nn.Parameter(torch.zeros(max_loops, width))

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.ones_(self.gain)
        nn.init.zeros_(self.offset)

    def forward(self, u: Tensor, t: Index) -> Tensor:
        return row(self.gain, t, self.beyond) * u + row(self.offset, t, self.beyond)

    def table(self) -> nn.Parameter:
        return self.gain
