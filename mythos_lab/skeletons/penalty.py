"""A penalty: logits are kept small."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from mythos_blocks import Penalty, component
from mythos_blocks.declaring.types import Positive
from mythos_blocks.objective.base import scored_logits
from mythos_blocks.tensors.precision import at_least_float32

if TYPE_CHECKING:
    from mythos_blocks import LoopedTransformer
    from mythos_blocks.model import ModelOutput


@component("penalty", "skeleton")
class Skeleton(Penalty):
    """``weight * mean(logits ** 2)`` over scored tokens.

    Args:
        weight: Factor on the mean.
    """

    metric = "penalty/skeleton"
    over_scored = True

    def __init__(self, *, weight: Positive = 1e-4) -> None:
        self.weight = weight

    def loss(self, model: LoopedTransformer, out: ModelOutput, targets: Tensor) -> tuple[Tensor, Tensor]:
        size = at_least_float32(scored_logits(out.logits, targets)).square().mean()
        return self.weight * size, size
