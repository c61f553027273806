"""PonderNet."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import NonNegative, Probability, Real
from mythos_blocks.halting.base import Evaluation, HaltingState, mean_over
from mythos_blocks.halting.gate import GatedHalting


@component("halting", "ponder")
class Ponder(GatedHalting):
    """A chance to halt after every iteration, drawn to a geometric prior (PonderNet, arXiv 2107.05407).

    The rule's own loss is ``kl_weight * KL(q || prior)``, the prior cut at the loops run (eq. 5); the expected loss is
    the objective ``expected`` with ``beta: 0``.

    Args:
        width: Channels of the state.
        prior: Chance to halt of the geometric prior; the prior's mean is about its inverse.
        kl_weight: Weight of the divergence; the paper takes 0.01.
        inference: Outside training, stop at the ``median`` of the distribution, or ``sample`` as the paper does, from
            torch's global generator.
        initial_bias: Initial bias of the gate.
        evaluation: ``stop`` a position where the rule says so; ``select`` its state there, while all iterations run;
            or ``run_on`` and read the last state.
    """

    def __init__(
        self,
        width: int,
        *,
        prior: Probability = 0.2,
        kl_weight: NonNegative = 0.01,
        inference: Literal["median", "sample"] = "median",
        initial_bias: Real = -1.0,
        evaluation: Evaluation = "stop",
    ) -> None:
        super().__init__(width, initial_bias, evaluation)
        self.prior, self.kl_weight, self.inference = prior, kl_weight, inference

    def stops(self, gate: Tensor, mass: Tensor) -> Tensor:
        return mass >= 0.5 if self.inference == "median" else torch.rand_like(gate) < gate

    def loss(self, state: HaltingState) -> Tensor | None:
        if self.kl_weight == 0 or not self.training:
            return None
        assert state.num_updates is not None
        q = torch.stack(state.weights)
        t = torch.arange(len(q), device=q.device, dtype=q.dtype)[:, None, None]
        # Cut at the iterations that the position has run.
        prior = self.prior * (1 - self.prior) ** t * (t < state.num_updates)
        log_prior = (prior / prior.sum(0)).clamp_min(1e-30).log()
        # A saturated gate gives weights of exactly zero, whose logarithm has no gradient.
        divergence = (q * (q.clamp_min(1e-12).log() - log_prior)).sum(0)
        return self.kl_weight * mean_over(divergence, state.real)
