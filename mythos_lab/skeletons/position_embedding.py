"""A position embedding: one learned direction, times the position."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks import PositionEmbedding, component
from mythos_blocks.declaring.types import Positive


@component("position_embedding", "skeleton")
class Skeleton(PositionEmbedding):
    """``x + position / period * direction``.

    Args:
        width: Channels of the residual stream.
        period: Positions after which the direction counts once.
        std: Standard deviation of the initial direction.
    """

    def __init__(self, width: int, *, period: Positive = 16.0, std: Positive = 0.1) -> None:
        super().__init__()
        self.period, self.std = period, std
        self.direction = nn.Parameter(torch.zeros(width))

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.normal_(self.direction, std=self.std, generator=generator)

    def forward(self, embedded: Tensor, positions: Tensor | None = None) -> Tensor:
        if positions is None:
            positions = torch.arange(embedded.shape[1], device=embedded.device)
        places = positions.clamp_min(0).unsqueeze(-1).to(embedded.dtype) / self.period
        return embedded + places * self.direction.to(embedded.dtype)
