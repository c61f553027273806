"""The loss expected over the iterations at which positions halt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import NonNegative, Probability
from mythos_blocks.objective.base import Objective, iterations_run, scored, weighed_cross_entropy
from mythos_blocks.tensors.precision import at_least_float32

if TYPE_CHECKING:
    from mythos_blocks.model import LoopedTransformer, ModelOutput


@component("objective", "expected")
class Expected(Objective):
    """``mean_i [sum_t q_i(t) CE_i(t) + beta * KL(q_i || prior)]`` with q the halting weights of position i.

    With the uniform prior the second term is ``beta * (log T - H(q))``: Ouro's entropy bonus (arXiv 2510.25741, stage
    I). With the geometric one it is PonderNet's (arXiv 2107.05407, eq. 5).

    Args:
        beta: Weight of the divergence from the prior, in nats of loss per nat.
        prior: Distribution over iterations that the halting weights are drawn to.
        rate: Halting probability of the geometric prior, cut at the loops run; needs ``prior: geometric``.
    """

    every_step = by_weight = True

    def __init__(
        self,
        *,
        beta: NonNegative = 0.1,
        prior: Literal["uniform", "geometric"] = "uniform",
        rate: Probability | None = None,
    ) -> None:
        if (rate is None) is not (prior == "uniform"):
            raise ValueError(f"rate is for prior 'geometric', which needs it; prior={prior!r}, rate={rate}")
        self.beta, self.prior, self.rate = beta, prior, rate

    def check(self, model: LoopedTransformer) -> None:
        super().check(model)
        if model.core.halting.chooses:
            raise ValueError(
                "objective 'expected' weighs iterations by halting, and core.halting is "
                f"{model.core.halting.kind!r}, which gives none a weight that learns"
            )

    def loss(self, model: LoopedTransformer, out: ModelOutput, targets: Tensor) -> Tensor:
        q = at_least_float32(torch.stack([scored(weight, targets) for weight in out.halting.weights]))
        expected = weighed_cross_entropy(model, out, targets, q)
        if self.beta == 0:
            return expected
        log_prior = self._log_prior(iterations_run(out, targets), q)
        # A saturated gate gives weights of exactly zero, whose logarithm has no gradient.
        divergence = (q * (q.clamp_min(1e-12).log() - log_prior)).sum(0).mean()
        return expected + self.beta * divergence

    def _log_prior(self, run: Tensor, q: Tensor) -> Tensor:
        """The prior's logarithm, cut at the iterations that each token has run: ``(num_loops, scored)``."""
        t = torch.arange(len(run), device=q.device, dtype=q.dtype)[:, None]
        prior = run.to(q.dtype) if self.rate is None else self.rate * (1 - self.rate) ** t * run
        return (prior / prior.sum(0)).clamp_min(1e-30).log()
