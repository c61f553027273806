"""Negative binomial loop counts."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count, Positive
from mythos_blocks.loops.base import GradientWindow, LoopSampler
from mythos_blocks.loops.solving import tail_limit, with_mean


@component("loops", "negative_binomial")
class NegativeBinomial(LoopSampler):
    """``1 +`` negative binomial loop counts: a Poisson whose rate is gamma distributed (a sampler of Huginn's code).

    Args:
        mean: Mean of the loop counts drawn, exactly, with the tail cut at ``maximum``.
        dispersion: Shape r of the gamma distribution: the smaller, the wider; the variance of the count above one is
            ``m + m^2 / r`` for its mean m, before the cut.
        maximum: The largest loop count. ``null`` takes four times the mean, at least 8.
        gradient_window: Gradient flows through the last so many iterations; ``null`` for all, ``half_mean`` for half
            the mean.

    Raises:
        ValueError: ``maximum`` is below the mean, or so near it that no rate has the mean.
    """

    def __init__(
        self,
        *,
        mean: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 8.0,
        dispersion: Positive = 4.0,
        maximum: Count | None = None,
        gradient_window: GradientWindow = None,
    ) -> None:
        limit = tail_limit(mean, maximum)
        self.gradient_window = gradient_window

        def of(rate: float) -> Tensor:
            k = torch.arange(limit, dtype=torch.float64)
            log_share = math.log(max(rate, 1e-300)) - math.log(rate + dispersion)
            log_mass = torch.lgamma(k + dispersion) - torch.lgamma(k + 1) + k * log_share
            return torch.cat((k.new_zeros(1), torch.softmax(log_mass, 0)))

        self._pmf = with_mean(mean, limit, of, 0.0, 1e4 * limit)

    def pmf(self) -> Tensor:
        return self._pmf
