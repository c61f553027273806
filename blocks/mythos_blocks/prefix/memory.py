"""Memory tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count, NonNegative
from mythos_blocks.prefix.base import Prefix


@component("prefix", "memory")
class MemoryPrefix(Prefix):
    """Learned vectors, the same for all sequences, where the loop may keep what belongs to no token (memory tokens,
    arXiv 2006.11527; in looped models arXiv 2604.21999).

    The tokens in their places are not read.

    Shapes: ``(batch, positions, width) -> (batch, positions, width)``.

    Args:
        width: Channels of the residual stream.
        num_positions: Vectors, each in a position of its own at the start of every sequence.
        std: Standard deviation of the initial vectors.
    """

    def __init__(self, width: int, *, num_positions: Count = 8, std: NonNegative = 0.02) -> None:
        super().__init__()
        self.num_positions, self.std = num_positions, std
        self.vectors = nn.Parameter(torch.zeros(num_positions, width))

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.normal_(self.vectors, std=self.std, generator=generator)

    def forward(self, embedded: Tensor, tokens: Tensor | None, positions: Tensor | None = None) -> Tensor:
        places = self.places(embedded, positions)
        rows = F.embedding(places.clamp_max(self.num_positions - 1), self.vectors)
        return torch.where((places < self.num_positions).unsqueeze(-1), rows.to(embedded.dtype), embedded)
