"""Supervision at every iteration, and of the value of halting."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import NonNegative
from mythos_blocks.objective.base import IGNORE, Objective, iterations_run, weighed_cross_entropy
from mythos_blocks.tensors.precision import exact_dtype_of

if TYPE_CHECKING:
    from mythos_blocks.model import LoopedTransformer, ModelOutput


@component("objective", "supervised_halting")
class SupervisedHalting(Objective):
    """``mean_t [CE(t) + weight * BCE(q_halt(t), right(t))]``: deep supervision with a Q-head (HRM, arXiv 2506.21734).

    ``right(t)`` says whether the prediction after iteration t is correct: of the whole sequence where the head reads
    the first position, else of each scored position. A value of going on learns the larger value of the next iteration,
    HRM's bootstrap, and that of halting where the next is the last, after which nothing goes on (HRM's code takes the
    larger there too, and runs one iteration more for the last). TRM (arXiv 2510.04871) has none.

    Args:
        weight: Weight of the cross-entropy of each value; both systems take 0.5.
    """

    every_step = True

    def __init__(self, *, weight: NonNegative = 0.5) -> None:
        self.weight = weight

    def check(self, model: LoopedTransformer) -> None:
        super().check(model)
        if model.core.halting.kind != "q_head":
            raise ValueError(
                f"objective 'supervised_halting' trains core.halting 'q_head', and it is {model.core.halting.kind!r}"
            )

    def loss(self, model: LoopedTransformer, out: ModelOutput, targets: Tensor) -> Tensor:
        run = iterations_run(out, targets).to(exact_dtype_of(out.logits))
        total = weighed_cross_entropy(model, out, targets, run / run.sum(0).clamp_min(1))
        values, wanted, num_run = out.halting.scores, targets != IGNORE, out.executed
        whole = model.core.halting.read == "first"
        num_wanted = wanted.sum().clamp_min(1)  # a rank may have nothing that is scored
        everywhere = replace(out.frame, logits_at=None)
        for t, (h, value) in enumerate(zip(out.states, values, strict=True)):
            share = self.weight * (wanted & (t < num_run)).to(total.dtype) / num_run / num_wanted
            right = model.read(h, everywhere).argmax(-1) == targets
            label = (right | ~wanted).all(1, keepdim=True).expand_as(right) if whole else right
            total = total + (share * _entropy(value[..., 0], label.to(value.dtype))).sum()
            if value.shape[-1] == 2:
                after = values[min(t + 1, len(values) - 1)].detach()
                # After a position's last iteration there is nothing to go on to but to halt.
                last = t + 2 >= num_run
                better = torch.sigmoid(torch.where(last, after[..., 0], after.amax(-1)))
                total = total + (share * _entropy(value[..., 1], better)).sum()
        return total


def _entropy(value: Tensor, label: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(value, label, reduction="none")
