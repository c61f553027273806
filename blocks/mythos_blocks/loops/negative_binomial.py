"""Negative binomial loop counts."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Positive
from mythos_blocks.loops.solving import SolvedSampler


@component("loops", "negative_binomial")
class NegativeBinomial(SolvedSampler):
    """``1 +`` negative binomial loop counts: a Poisson whose rate is gamma distributed.

    A sampler of Huginn's research code draws the iterations without gradient so, with r equal to their mean.

    Args:
        dispersion: Shape r of the gamma distribution: the smaller, the wider; the variance of the count above one is
            ``m + m^2 / r`` for its mean m, before the cut.
    """

    def __init__(self, *, dispersion: Positive = 4.0, **fields: Any) -> None:
        super().__init__({"dispersion": dispersion}, **fields)

    @staticmethod
    def family(argument: float, limit: int, **own: Any) -> Tensor:
        dispersion = own["dispersion"]
        k = torch.arange(limit, dtype=torch.float64)
        log_share = argument - math.log(math.exp(argument) + dispersion)
        log_mass = torch.lgamma(k + dispersion) - torch.lgamma(k + 1) + k * log_share
        return torch.cat((k.new_zeros(1), torch.softmax(log_mass, 0)))
