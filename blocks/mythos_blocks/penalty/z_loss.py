"""A bound on the logits' normaliser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Positive
from mythos_blocks.objective.base import scored_logits
from mythos_blocks.penalty.base import Penalty
from mythos_blocks.tensors.precision import at_least_float32

if TYPE_CHECKING:
    from mythos_blocks.model import LoopedTransformer, ModelOutput


@component("penalty", "z_loss")
class ZLoss(Penalty):
    """``weight * mean(logsumexp(logits) ** 2)`` over scored tokens (PaLM, arXiv 2204.02311, section 5).

    Args:
        weight: PaLM takes 1e-4.
    """

    metric = "penalty/z_loss"
    over_scored = True

    def __init__(self, *, weight: Positive = 1e-4) -> None:
        self.weight = weight

    def loss(self, model: LoopedTransformer, out: ModelOutput, targets: Tensor) -> tuple[Tensor, Tensor]:
        z = at_least_float32(scored_logits(out.logits, targets)).logsumexp(-1).square().mean()
        return self.weight * z, z
