"""Geometric loop counts."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count
from mythos_blocks.loops.base import GradientWindow, LoopSampler
from mythos_blocks.loops.solving import tail_limit, with_mean


@component("loops", "geometric")
class Geometric(LoopSampler):
    """Loop counts that end after each iteration with the same chance, ``P(n) ~ (1 - p)^(n - 1) p``.

    Args:
        mean: Mean of the loop counts drawn, exactly, with the tail cut at ``maximum``.
        maximum: The largest loop count. ``null`` takes four times the mean, at least 8.
        gradient_window: Gradient flows through the last so many iterations; ``null`` for all, ``half_mean`` for half
            the mean.

    Raises:
        ValueError: ``maximum`` is below the mean, or so near it that no chance has the mean.
    """

    def __init__(
        self,
        *,
        mean: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 8.0,
        maximum: Count | None = None,
        gradient_window: GradientWindow = None,
    ) -> None:
        limit = tail_limit(mean, maximum)
        self.gradient_window = gradient_window

        def of(log_ratio: float) -> Tensor:
            # A growing ratio, above one even, since the cut lowers the mean.
            n = torch.arange(limit + 1, dtype=torch.float64)
            weight = torch.softmax((n - 1) * log_ratio - torch.where(n < 1, torch.inf, 0.0), 0)
            return weight

        self._pmf = with_mean(mean, limit, of, -60.0, 60.0)

    def pmf(self) -> Tensor:
        return self._pmf
