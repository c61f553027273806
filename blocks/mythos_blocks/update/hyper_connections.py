"""Several lanes for one state."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count
from mythos_blocks.tensors.precision import without_autocast
from mythos_blocks.tensors.rows import Index
from mythos_blocks.update.base import Update


@component("update", "hyper_connections")
class HyperConnections(Update):
    """N lanes of state with learned widths and depths of connection, static form (arXiv 2409.19606, section 2).

    The core's output joins every lane, ``lanes' = A lanes + b u``, and the next iteration reads their mixture
    ``y = c . lanes'``. A starts at the identity, b at ones and c at ``1 / N``: at the start, y is ``h + u``.

    Shapes: ``(..., width) -> (..., width)``; the carry is ``(..., num_lanes, width)``.

    Args:
        width: Channels of the state.
        num_lanes: Lanes.
    """

    def __init__(self, width: int, *, num_lanes: Count = 4) -> None:
        super().__init__()
        self.num_lanes = num_lanes
        self.mix = nn.Parameter(torch.eye(num_lanes))
        self.write = nn.Parameter(torch.ones(num_lanes))
        self.read = nn.Parameter(torch.full((num_lanes,), 1 / num_lanes))

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.eye_(self.mix)
        nn.init.ones_(self.write)
        nn.init.constant_(self.read, 1 / self.num_lanes)

    def start(self, h: Tensor) -> Tensor:
        return h.unsqueeze(-2).expand(*h.shape[:-1], self.num_lanes, h.shape[-1])

    def forward(self, h: Tensor, u: Tensor, carry: Tensor | None = None, t: Index = 0) -> tuple[Tensor, Tensor | None]:
        lanes = self.start(h) if carry is None else carry
        with without_autocast(h.device):  # what is carried on is not rounded in every iteration
            lanes = self.mix.to(h.dtype) @ lanes
        lanes = lanes + self.write.to(h.dtype)[:, None] * u.unsqueeze(-2)
        return (self.read.to(h.dtype)[:, None] * lanes).sum(-2), lanes
