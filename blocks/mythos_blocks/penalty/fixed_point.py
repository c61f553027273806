"""A loss that makes the loop settle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Positive
from mythos_blocks.penalty.base import Penalty, check_one_more, real_values
from mythos_blocks.tensors.precision import at_least_float32

if TYPE_CHECKING:
    from mythos_blocks.model import LoopedTransformer, ModelOutput


@component("penalty", "fixed_point")
class FixedPoint(Penalty):
    """``weight * mean(||f(h) - h||^2 / ||h||^2)`` at the last state: the terminal fixed-point loss (arXiv 2608.18222).

    The mean is that over positions that are no padding; f is one more iteration, which costs its forward and backward
    pass.

    Args:
        weight: Weight of the squared relative residual.
    """

    metric = "stability/fixed_point_residual"
    over_real = True

    def __init__(self, *, weight: Positive = 0.01) -> None:
        self.weight = weight

    def check(self, model: LoopedTransformer) -> None:
        check_one_more(model, self)

    def loss(self, model: LoopedTransformer, out: ModelOutput, targets: Tensor) -> tuple[Tensor, Tensor]:
        h = at_least_float32(out.state.h)
        moved = at_least_float32(model.core.next_state(out.state, out.state.h)) - h
        squares = moved.square().sum(-1) / h.square().sum(-1).clamp_min(1e-12)
        residual = real_values(squares, out).mean()
        return self.weight * residual, residual.sqrt()
