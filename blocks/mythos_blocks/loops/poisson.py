"""Poisson loop counts."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count
from mythos_blocks.loops.base import GradientWindow, LoopSampler
from mythos_blocks.loops.solving import log_poisson, tail_limit, with_mean


@component("loops", "poisson")
class Poisson(LoopSampler):
    """Poisson loop counts of at least one, as in Parcae (arXiv 2604.12946, section 4.2).

    ``mean`` is the mean of the loop counts drawn, exactly, with the tail cut at ``maximum``. Parcae's own
    ``max(1, Poisson(8))`` has the mean 8.0003.

    Args:
        mean: Mean loop count.
        at_least_one: How zero is avoided: it counts as one (``clip``, Parcae), one is added (``shift``), or it is drawn
            again (``truncate``).
        maximum: The largest loop count. ``null`` takes four times the mean, at least 8.
        gradient_window: Gradient flows through the last so many iterations; ``null`` for all, ``half_mean`` for half
            the mean, as in Parcae.

    Raises:
        ValueError: ``maximum`` is below the mean, or so near it that no rate has the mean.
    """

    def __init__(
        self,
        *,
        mean: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 8.0,
        at_least_one: Literal["clip", "shift", "truncate"] = "clip",
        maximum: Count | None = None,
        gradient_window: GradientWindow = None,
    ) -> None:
        limit = tail_limit(mean, maximum)
        self.gradient_window, self.at_least_one = gradient_window, at_least_one

        def of(rate: float) -> Tensor:
            k = torch.arange(limit + 1, dtype=torch.float64)
            mass = log_poisson(rate, k).exp()
            if at_least_one == "shift":
                mass = torch.cat((mass.new_zeros(1), mass[:-1]))
            elif at_least_one == "clip":
                mass[1] += mass[0]
            mass[0] = 0
            return mass / mass.sum()

        self._pmf = with_mean(mean, limit, of, 0.0, 8.0 * limit)

    def pmf(self) -> Tensor:
        return self._pmf
