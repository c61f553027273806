"""A learned vector for each iteration."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import NonNegative
from mythos_blocks.depth_signal.base import DepthSignal
from mythos_blocks.tensors.rows import Beyond, Index, own_row


@component("depth_signal", "learned")
class Learned(DepthSignal):
    """A learned table with a row for each trained iteration (arXiv 2603.21676).

    Args:
        width: Channels of the state.
        max_loops: Iterations that tables with a row for each have room for.
        std: Standard deviation of the initial table.
        beyond: What later iterations read: the last row, zeros, the line through the last two rows, or an error.
    """

    def __init__(self, width: int, max_loops: int, *, std: NonNegative = 0.02, beyond: Beyond = "clamp") -> None:
        super().__init__()
        self.reach, self.std, self.beyond = max_loops, std, beyond
        self.table = nn.Parameter(torch.zeros(max_loops, width))

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.normal_(self.table, std=self.std, generator=generator)

    def forward(self, t: Index, positions: Tensor | None = None) -> Tensor:
        return own_row(self.table, t, self.beyond)
