"""Poisson loop counts with a log-normal rate."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count, Positive
from mythos_blocks.loops.base import GradientWindow, LoopSampler

# Nodes and weights for expectations under a standard normal: evenly spaced, to where nothing is left.
_NODES = [i / 16 for i in range(-128, 129)]


@component("loops", "poisson_lognormal")
class PoissonLognormal(LoopSampler):
    """``1 + Poisson(rate)`` with a log-normal rate, as in Huginn (arXiv 2502.05171, section 3.3).

    The published sampler aims its rate at the mean and then adds one, so it runs one loop more than asked
    for. Here ``mean`` is the mean of the loop counts drawn, exactly, with the tail cut at ``max_loops``; the published
    32 is a mean of 33.

    Args:
        mean: Mean loop count.
        sigma: Standard deviation of the logarithm of the rate.
        maximum: The largest loop count. ``null`` takes four times the mean, at least 8.
        gradient_window: Gradient flows through the last so many iterations; ``null`` for all, ``half_mean`` for half
            the mean.

    Raises:
        ValueError: ``maximum`` is below the mean, or so near it, for this ``sigma``, that no rate has the mean.
    """

    def __init__(
        self,
        *,
        mean: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 8.0,
        sigma: Positive = 0.5,
        maximum: Count | None = None,
        gradient_window: GradientWindow = None,
    ) -> None:
        limit = maximum if maximum is not None else max(8, math.ceil(4 * mean))
        if limit < mean or (limit == mean and mean > 1):
            raise ValueError(f"maximum={limit} must exceed mean={mean:g}")
        self.gradient_window = gradient_window
        self._pmf = _solve(mean, sigma, limit)
        if abs(self.mean - mean) > 1e-6 * mean:
            raise ValueError(
                f"no rate gives mean={mean:g} with sigma={sigma:g} and the tail cut at {limit}; "
                "raise maximum or lower sigma"
            )

    def pmf(self) -> Tensor:
        return self._pmf


@lru_cache(maxsize=256)
def _solve(mean: float, sigma: float, limit: int) -> Tensor:
    """The probabilities whose mean, after the cut, is the one asked for; by bisection on the rate."""
    with torch.device("cpu"):  # models are also built on the meta device, which has no numbers
        counts = torch.arange(limit + 1, dtype=torch.float64)
        low, high = 0.0, 4.0 * limit
        for _ in range(60):
            rate = (low + high) / 2
            pmf = _mixture(rate, sigma, limit)
            low, high = (rate, high) if float((pmf * counts).sum()) < mean else (low, rate)
    return pmf


def _mixture(rate: float, sigma: float, limit: int) -> Tensor:
    """``1 + Poisson(tau)`` with ``E tau = rate``, cut at ``limit`` and normalised: ``(limit + 1,)``."""
    nodes = torch.tensor(_NODES, dtype=torch.float64)
    weights = torch.softmax(-nodes.square() / 2, 0)
    log_tau = math.log(max(rate, 1e-300)) - sigma**2 / 2 + sigma * nodes
    k = torch.arange(limit, dtype=torch.float64)
    log_poisson = k[:, None] * log_tau - log_tau.exp() - torch.lgamma(k + 1)[:, None]
    poisson = log_poisson.exp() @ weights
    return torch.cat((poisson.new_zeros(1), poisson / poisson.sum()))
