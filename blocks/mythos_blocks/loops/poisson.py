"""Poisson loop counts."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.loops.solving import SolvedSampler


@component("loops", "poisson")
class Poisson(SolvedSampler):
    """Poisson loop counts of at least one, as in Parcae (arXiv 2604.12946, section 4.2).

    ``mean`` is the mean of the loop counts drawn. Parcae's own ``max(1, Poisson(8))`` has the mean 8.0003.

    Args:
        at_least_one: How zero is avoided: it counts as one (``clip``, Parcae), one is added (``shift``), or it is drawn
            again (``truncate``).
    """

    def __init__(self, *, at_least_one: Literal["clip", "shift", "truncate"] = "clip", **fields: Any) -> None:
        self.at_least_one = at_least_one
        super().__init__({"at_least_one": at_least_one}, **fields)

    @staticmethod
    def family(argument: float, limit: int, **own: Any) -> Tensor:
        k = torch.arange(limit + 1, dtype=torch.float64)
        mass = torch.softmax(k * argument - torch.lgamma(k + 1), 0)
        if own["at_least_one"] == "shift":
            mass = torch.cat((mass.new_zeros(1), mass[:-1]))
        elif own["at_least_one"] == "clip":
            mass[1] += mass[0]
        mass[0] = 0
        return mass / mass.sum()
