"""Poisson loop counts with a log-normal rate."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Positive
from mythos_blocks.loops.solving import SolvedSampler

# Nodes and weights for expectations under a standard normal: evenly spaced, to where nothing is left.
_NODES = [i / 16 for i in range(-128, 129)]


@component("loops", "poisson_lognormal")
class PoissonLognormal(SolvedSampler):
    """``1 + Poisson(rate)`` with a log-normal rate, as in Huginn (arXiv 2502.05171, section 3.3).

    The published sampler aims its rate at the mean and then adds one, so it runs one loop more than asked
    for. Here ``mean`` is the mean of the loop counts drawn; the published 32 is a mean of 33, and 32 in
    evaluation.

    Args:
        sigma: Standard deviation of the logarithm of the rate.
    """

    def __init__(self, *, sigma: Positive = 0.5, **fields: Any) -> None:
        super().__init__({"sigma": sigma}, **fields)

    @staticmethod
    def family(argument: float, limit: int, **own: Any) -> Tensor:
        sigma = own["sigma"]
        nodes = torch.tensor(_NODES, dtype=torch.float64)
        weights = torch.softmax(-nodes.square() / 2, 0)
        log_rate = argument - sigma**2 / 2 + sigma * nodes
        k = torch.arange(limit, dtype=torch.float64)
        log_mass = k[:, None] * log_rate - log_rate.exp() - torch.lgamma(k + 1)[:, None]
        mass = log_mass.exp() @ weights
        return torch.cat((mass.new_zeros(1), mass / mass.sum()))
