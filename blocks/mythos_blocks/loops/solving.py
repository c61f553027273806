"""Distributions that are solved for the mean that is declared."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from mythos_blocks.declaring.types import MAX_LOOPS, AtMost, Loops
from mythos_blocks.loops.base import GradientWindow, LoopSampler
from mythos_blocks.tensors.tracing import real_tensors

_SPAN = 60.0
"""Where the solution is looked for, on either side of zero: arguments are logarithms."""


class SolvedSampler(LoopSampler):
    """The member of a family of distributions that has the declared mean, with the tail cut.

    A subclass gives the :meth:`family`. What else it declares it passes on, and so to the family.

    Args:
        mean: Mean of the loop counts drawn, exactly, with the tail cut at ``maximum``.
        maximum: The largest loop count. ``null`` takes four times the mean, at least 8.
        eval_loops: The loop count that evaluation runs. ``null`` takes the mean, rounded.
        gradient_window: Gradient flows through the last so many iterations; ``null`` for all, ``half_mean`` for half
            the mean.

    Raises:
        ValueError: ``maximum`` is below the mean, or so near it that no member of the family has the mean.
    """

    def __init__(
        self,
        own: Mapping[str, float | str],
        *,
        mean: Annotated[float, Field(ge=1), AtMost(MAX_LOOPS)] = 8.0,
        maximum: Loops | None = None,
        eval_loops: Loops | None = None,
        gradient_window: GradientWindow = None,
    ) -> None:
        limit = maximum if maximum is not None else max(8, math.ceil(4 * mean))
        if limit < mean or (limit == mean and mean > 1):
            raise ValueError(f"maximum={limit} must exceed mean={mean:g}")
        if limit > MAX_LOOPS:
            raise ValueError(f"mean={mean:g} has its tail cut at {limit}, beyond {MAX_LOOPS} loops; set maximum")
        self.gradient_window, self._eval_loops = gradient_window, eval_loops
        self._pmf = _solved(type(self).family, self.kind, mean, limit, tuple(own.items()))

    @staticmethod
    def family(argument: float, limit: int, **own: Any) -> Tensor:
        """Probabilities ``(limit + 1,)`` of loop counts from 0 up, whose mean grows with the argument, a logarithm."""
        raise NotImplementedError

    @property
    def eval_loops(self) -> int:
        return self._eval_loops or round(self.mean)

    def pmf(self) -> Tensor:
        return self._pmf


@lru_cache(maxsize=256)
def _solved(
    family: Callable[..., Tensor], kind: str, mean: float, limit: int, own: tuple[tuple[str, float | str], ...]
) -> Tensor:
    """The probabilities with that mean, by bisection.

    Raises:
        ValueError: No member has the mean.
    """
    with real_tensors():  # models are also built of tensors without numbers
        counts = torch.arange(limit + 1, dtype=torch.float64)
        low, high = -_SPAN, _SPAN
        for _ in range(80):
            middle = (low + high) / 2
            pmf = family(middle, limit, **dict(own))
            low, high = (middle, high) if float((pmf * counts).sum()) < mean else (low, middle)
    if not abs(float((pmf * counts).sum()) - mean) <= 1e-6 * mean:
        given = "".join(f", {name}={value}" for name, value in own)
        raise ValueError(f"no {kind} has mean={mean:.10g}{given} with the tail cut at {limit}; raise maximum")
    return pmf
