"""Distributions that are solved for the mean that is declared."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def with_mean(mean: float, limit: int, of: Callable[[float], Tensor], low: float, high: float) -> Tensor:
    """The member of a family of probabilities ``(limit + 1,)`` whose mean is ``mean``, by bisection.

    Args:
        mean: The mean of the loop counts.
        limit: The largest loop count.
        of: The family; its mean grows with the argument.
        low: Argument with a smaller mean.
        high: Argument with a larger mean.

    Raises:
        ValueError: No member has the mean.
    """
    with torch.device("cpu"):  # models are also built on the meta device, which has no numbers
        counts = torch.arange(limit + 1, dtype=torch.float64)
        for _ in range(80):
            middle = (low + high) / 2
            pmf = of(middle)
            low, high = (middle, high) if float((pmf * counts).sum()) < mean else (low, middle)
    if abs(float((pmf * counts).sum()) - mean) > 1e-6 * mean:
        raise ValueError(f"no distribution of this kind has mean={mean:g} with the tail cut at {limit}; raise maximum")
    return pmf


def tail_limit(mean: float, maximum: int | None) -> int:
    """The largest loop count: the declared one, or four times the mean, at least 8.

    Raises:
        ValueError: It is not above the mean.
    """
    limit = maximum if maximum is not None else max(8, math.ceil(4 * mean))
    if limit < mean or (limit == mean and mean > 1):
        raise ValueError(f"maximum={limit} must exceed mean={mean:g}")
    return limit


def log_poisson(rate: float, k: Tensor) -> Tensor:
    """Logarithm of a Poisson distribution at ``k``, float64."""
    return k * math.log(max(rate, 1e-300)) - rate - torch.lgamma(k + 1)
