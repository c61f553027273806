"""Student's interval of a mean (Student 1908): exact for normal values, at any number of them.

A bootstrap of a few values is too narrow: bias-corrected and accelerated, its 95 % intervals hold the truth in 88 % of
simulated studies of 8 seeds and in 91.5 % of 24 (docs/notebook.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
"""The share of samples whose interval holds the truth, where none is asked for."""


def interval(values: Sequence[float] | NDArray[Any], level: float = LEVEL) -> tuple[float, float]:
    """The interval of the mean of values, ``(num_values,)``; unbounded of one value."""
    found = np.asarray(values, dtype=float)
    if len(found) < 2:
        return -math.inf, math.inf
    return around(float(found.mean()), float(found.std(ddof=1)) / math.sqrt(len(found)), len(found) - 1, level)


def around(mean: float, error: float, freedom: int, level: float = LEVEL) -> tuple[float, float]:
    """The interval of a mean whose standard error is estimated.

    Args:
        mean: The mean.
        error: Its standard error.
        freedom: Degrees of freedom of the estimate of the error.
        level: The share of samples whose interval holds the truth.
    """
    from scipy import special  # which every command would start with

    half = -float(special.stdtrit(freedom, (1 - level) / 2)) * error
    return mean - half, mean + half


def p_value(mean: float, error: float, freedom: int) -> float:
    """Two-sided p-value of a mean of zero: below ``1 - level`` where :func:`around` of that level excludes zero."""
    from scipy import special  # which every command would start with

    return float(2 * special.stdtr(freedom, -abs(mean) / error))
