"""A learned vector for each position."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count, NonNegative, Positive
from mythos_blocks.position_embedding.base import PositionEmbedding
from mythos_blocks.tensors.rows import check_below

_WHERE = "position_embedding 'learned' has num_positions"


@component("position_embedding", "learned")
class LearnedPositions(PositionEmbedding):
    """``scale * (x + P[position])``, as in HRM and TRM with ``pos_encodings: learned`` (arXiv 2506.21734).

    Shapes: ``(batch, positions, width) -> (batch, positions, width)``.

    Args:
        width: Channels of the residual stream.
        num_positions: Rows of the table, and so the longest sequence that can be read.
        scale: Factor of the sum; HRM and TRM take 0.707106781, which keeps the variance.
        std: Standard deviation of the initial table.

    Raises:
        ValueError: A position has no row, when it is read.
    """

    def __init__(
        self, width: int, *, num_positions: Count = 1024, scale: Positive = 1.0, std: NonNegative = 0.02
    ) -> None:
        super().__init__()
        self.num_positions, self.scale, self.std = num_positions, scale, std
        self.table = nn.Parameter(torch.zeros(num_positions, width))

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.normal_(self.table, std=self.std, generator=generator)

    def check_sequences(self, num_positions: int, reads_all: bool) -> None:
        if num_positions > self.num_positions:
            raise ValueError(f"{_WHERE}={self.num_positions}, and the input has {num_positions}")

    def forward(self, embedded: Tensor, positions: Tensor | None = None) -> Tensor:
        if positions is None:
            self.check_sequences(embedded.shape[1], reads_all=False)
            rows = self.table[: embedded.shape[1]]
        else:
            check_below(positions, self.num_positions, _WHERE)
            rows = F.embedding(positions.clamp_min(0), self.table)
        summed = embedded + rows.to(embedded.dtype)
        return summed if self.scale == 1 else summed * self.scale
