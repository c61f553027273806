"""A loss that teaches the halting gate what an iteration is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import NonNegative, Positive
from mythos_blocks.objective.base import cross_entropies, iterations_run, mean_over_own, scored
from mythos_blocks.penalty.base import Penalty
from mythos_blocks.tensors.precision import at_least_float32

if TYPE_CHECKING:
    from mythos_blocks.model import LoopedTransformer, ModelOutput


@component("penalty", "gate_improvement")
class GateImprovement(Penalty):
    """Cross-entropy between going on after an iteration and what the next one gains (Ouro, arXiv 2510.25741, stage II).

    The gain ``I_t = max(0, CE_{t-1} - CE_t)`` is a constant for the gradient; going on after t - 1 is right with
    probability ``sigmoid(slope * (I_t - gain))``, and the halting rule goes on with ``1 - lambda_{t-1}``, lambda being
    its weight over the mass left.

    Args:
        weight: Weight of the cross-entropy.
        slope: Steepness of the target, per nat.
        gain: Nats of loss at which an iteration is as well left out.
    """

    metric = "penalty/gate_improvement"
    over_scored = True
    every_step = True

    def __init__(self, *, weight: Positive = 1.0, slope: Positive = 50.0, gain: NonNegative = 0.005) -> None:
        self.weight, self.slope, self.gain = weight, slope, gain

    def check(self, model: LoopedTransformer) -> None:
        super().check(model)
        if model.core.halting.chooses:
            raise ValueError(
                "penalty 'gate_improvement' trains a halting gate, and core.halting is "
                f"{model.core.halting.kind!r}, which gives no iteration a weight that learns"
            )

    def loss(self, model: LoopedTransformer, out: ModelOutput, targets: Tensor) -> tuple[Tensor, Tensor]:
        if len(out.states) < 2:  # after the only iteration there is nothing to go on to
            return out.logits.new_zeros(()), out.logits.new_zeros(())
        with torch.no_grad():
            losses = cross_entropies(model, out, targets)
            wanted = torch.sigmoid(self.slope * ((losses[:-1] - losses[1:]).clamp_min(0) - self.gain))
        q = at_least_float32(torch.stack([scored(weight, targets) for weight in out.halting.weights]))
        left = 1 - F.pad(q.cumsum(0), (0, 0, 1, 0))[:-1]
        going_on = (1 - q / left.clamp_min(1e-6))[:-1].clamp(1e-6, 1 - 1e-6)
        # By hand: under autocast, CUDA refuses torch's binary cross-entropy of probabilities.
        entropies = -(wanted * going_on.log() + (1 - wanted) * torch.log1p(-going_on))
        entropy = mean_over_own(entropies, iterations_run(out, targets)[1:])
        return self.weight * entropy, entropy
