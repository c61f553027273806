"""The last iteration's loss blended with that of all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.objective.base import Objective, cross_entropies, iterations_run, mean_over_own

if TYPE_CHECKING:
    from mythos_blocks.model import LoopedTransformer, ModelOutput


@component("objective", "blended")
class Blended(Objective):
    """``(1 - alpha) * CE(last) + alpha * mean_t CE(t)``: the supervision dose of Chen (arXiv 2603.21676).

    Args:
        alpha: The share of the mean over iterations; 0 would be ``final``, 1 supervises every iteration alike.
    """

    every_step = True

    def __init__(self, *, alpha: Annotated[float, Field(gt=0, le=1)] = 0.5) -> None:
        self.alpha = alpha

    def loss(self, model: LoopedTransformer, out: ModelOutput, targets: Tensor) -> Tensor:
        steps = cross_entropies(model, out, targets)
        every = mean_over_own(steps, iterations_run(out, targets))
        return (1 - self.alpha) * steps[-1].mean() + self.alpha * every
