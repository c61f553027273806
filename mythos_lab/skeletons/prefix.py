"""A prefix: learned vectors, and a task that leaves places for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mythos_blocks import Prefix, component
from mythos_blocks.declaring.types import Count
from mythos_lab.tasks import IGNORE, Batch, Parity
from mythos_lab.tasks.base import Split


@component("prefix", "skeleton")
class Skeleton(Prefix):
    """Learned vectors in the first positions, the same for all sequences.

    Args:
        width: Channels of the residual stream.
        num_positions: Vectors.
    """

    def __init__(self, width: int, *, num_positions: Count = 2) -> None:
        super().__init__()
        self.num_positions = num_positions
        self.vectors = nn.Parameter(torch.zeros(num_positions, width))

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.normal_(self.vectors, std=0.02, generator=generator)

    def forward(self, embedded: Tensor, tokens: Tensor | None, positions: Tensor | None = None) -> Tensor:
        places = self.places(embedded, positions)
        rows = F.embedding(places.clamp_max(self.num_positions - 1), self.vectors)
        return torch.where((places < self.num_positions).unsqueeze(-1), rows.to(embedded.dtype), embedded)


@component("task", "parity_after_skeleton")
class ParityAfterSkeleton(Parity):
    """Parity, with two positions ahead of every sample, which are left to the prefix."""

    prefix_positions = 2

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self.positions += self.prefix_positions
        self.ood_positions = None if self.ood_positions is None else self.ood_positions + self.prefix_positions

    def width(self, split: Split) -> int:
        return super().width(split) - self.prefix_positions

    def batch(self, split: Split, indices: range) -> Batch:
        batch, ahead = super().batch(split, indices), (self.prefix_positions, 0)
        return replace(
            batch,
            tokens=F.pad(batch.tokens, ahead),
            targets=F.pad(batch.targets, ahead, value=IGNORE),
            real=None if batch.real is None else F.pad(batch.real, ahead, value=True),
        )
