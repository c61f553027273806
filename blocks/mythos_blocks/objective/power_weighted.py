"""Every iteration's loss, later ones weighing more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import NonNegative
from mythos_blocks.objective.base import Objective, iterations_run, weighed_cross_entropy
from mythos_blocks.tensors.precision import exact_dtype_of

if TYPE_CHECKING:
    from mythos_blocks.model import LoopedTransformer, ModelOutput


@component("objective", "power_weighted")
class PowerWeighted(Objective):
    """``sum_t w_t CE(t)`` with ``w_t`` proportional to ``t ** power`` (depth-adaptive transformer, arXiv 1910.10073).

    Args:
        power: 0 weighs all iterations alike; 1 grows linearly.
    """

    every_step = by_weight = True

    def __init__(self, *, power: NonNegative = 1.0) -> None:
        self.power = power

    def loss(self, model: LoopedTransformer, out: ModelOutput, targets: Tensor) -> Tensor:
        run = iterations_run(out, targets)
        times = torch.arange(1, len(run) + 1, device=run.device, dtype=exact_dtype_of(out.logits))
        weights = times[:, None] ** self.power * run
        return weighed_cross_entropy(model, out, targets, weights / weights.sum(0))
