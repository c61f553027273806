"""An objective: cross-entropy with smoothed targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from mythos_blocks import Objective, component
from mythos_blocks.objective.base import scored, scored_logits
from mythos_blocks.tensors.precision import at_least_float32

if TYPE_CHECKING:
    from mythos_blocks import LoopedTransformer
    from mythos_blocks.model import ModelOutput


@component("objective", "skeleton")
class Skeleton(Objective):
    """The mean cross-entropy of the last iteration's predictions.

    Args:
        smoothing: Share of every target that is spread over all tokens.
    """

    def __init__(self, *, smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1) -> None:
        self.smoothing = smoothing

    def loss(self, model: LoopedTransformer, out: ModelOutput, targets: Tensor) -> Tensor:
        logits = at_least_float32(scored_logits(out.logits, targets))
        return F.cross_entropy(logits, scored(targets, targets), label_smoothing=self.smoothing)
