"""The last iteration's loss blended with that of all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch
from pydantic import Field
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.objective.base import Objective, iterations_run, weighed_cross_entropy
from mythos_blocks.tensors.precision import exact_dtype_of

if TYPE_CHECKING:
    from mythos_blocks.model import LoopedTransformer, ModelOutput


@component("objective", "blended")
class Blended(Objective):
    """``(1 - alpha) * CE(last) + alpha * mean_t CE(t)``: the supervision dose of Chen (arXiv 2603.21676).

    Args:
        alpha: The share of the mean over iterations; 0 would be ``final``, 1 supervises every iteration alike.
    """

    every_step = by_weight = True

    def __init__(self, *, alpha: Annotated[float, Field(gt=0, le=1)] = 0.5) -> None:
        self.alpha = alpha

    def loss(self, model: LoopedTransformer, out: ModelOutput, targets: Tensor) -> Tensor:
        run = iterations_run(out, targets).to(exact_dtype_of(out.logits))
        every = run / run.sum(0).clamp_min(1)
        last = torch.zeros_like(every)
        last[-1] = 1
        return weighed_cross_entropy(model, out, targets, (1 - self.alpha) * last + self.alpha * every)
