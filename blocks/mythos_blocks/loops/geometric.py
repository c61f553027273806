"""Geometric loop counts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.loops.solving import SolvedSampler


@component("loops", "geometric")
class Geometric(SolvedSampler):
    """Loop counts that end after each iteration with the same chance, ``P(n) ~ (1 - p)^(n - 1) p``, before the cut."""

    def __init__(self, **fields: Any) -> None:
        super().__init__({}, **fields)

    @staticmethod
    def family(argument: float, limit: int, **own: Any) -> Tensor:
        # A ratio of neighbours that may exceed one, since the cut lowers the mean.
        n = torch.arange(limit, dtype=torch.float64)
        return torch.cat((n.new_zeros(1), torch.softmax(n * argument, 0)))
