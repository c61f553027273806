"""Loop counts from a list."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Loops, Positive
from mythos_blocks.loops.base import GradientWindow, LoopSampler


@component("loops", "choice")
class Choice(LoopSampler):
    """One of some loop counts, as in OpenMythos's issue 28 (4, 6, 8, 12 or 16).

    Args:
        counts: The loop counts.
        weights: How likely each is, relative to the others; ``null`` for all alike.
        gradient_window: Gradient flows through the last so many iterations; ``null`` for all, ``half_mean`` for half
            the mean.

    Raises:
        ValueError: There are not as many weights as counts, or a count occurs twice.
    """

    def __init__(
        self,
        *,
        counts: Annotated[list[Loops], Field(min_length=1)] = [4, 8],
        weights: list[Positive] | None = None,
        gradient_window: GradientWindow = None,
    ) -> None:
        if weights is not None and len(weights) != len(counts):
            raise ValueError(f"{len(counts)} counts and {len(weights)} weights")
        if len(set(counts)) < len(counts):
            raise ValueError(f"counts={counts} has a count twice")
        self.counts, self.weights, self.gradient_window = counts, weights or [1.0] * len(counts), gradient_window

    def pmf(self) -> Tensor:
        pmf = torch.zeros(max(self.counts) + 1, dtype=torch.float64, device="cpu")
        for count, weight in zip(self.counts, self.weights, strict=True):
            pmf[count] = weight / sum(self.weights)
        return pmf
