"""Every iteration's loss, later ones weighing more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import NonNegative
from mythos_blocks.objective.base import Objective, cross_entropies, iterations_run

if TYPE_CHECKING:
    from mythos_blocks.model import LoopedTransformer, ModelOutput


@component("objective", "power_weighted")
class PowerWeighted(Objective):
    """``sum_t w_t CE(t)`` with ``w_t`` proportional to ``t ** power`` (depth-adaptive transformer, arXiv 1910.10073).

    Args:
        power: 0 weighs all iterations alike; 1 grows linearly.
    """

    every_step = True

    def __init__(self, *, power: NonNegative = 1.0) -> None:
        self.power = power

    def loss(self, model: LoopedTransformer, out: ModelOutput, targets: Tensor) -> Tensor:
        steps = cross_entropies(model, out, targets)
        weights = torch.arange(1, len(steps) + 1, device=steps.device, dtype=steps.dtype)[:, None] ** self.power
        weights = weights * iterations_run(out, targets)
        return (weights / weights.sum(0) * steps).sum(0).mean()
