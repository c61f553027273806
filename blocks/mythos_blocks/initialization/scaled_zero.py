"""Layers that begin as the identity."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.initialization.base import is_output
from mythos_blocks.initialization.cut import CutWeights, base_std


@component("initialization", "scaled_zero")
class ScaledZeroWeights(CutWeights):
    """``sd = sqrt(2 / (5 d))``, and zero for what writes to the residual stream, as in Parcae (arXiv 2604.12946).

    Every layer begins as the identity. What feeds a zero matrix has no gradient until the first step has moved it.
    Value embeddings are standard normal and their gates uniform within ``1 / sqrt(fan_in)``, as there. A matrix of an
    injection is always normal, cut at three standard deviations.

    Args:
        orthogonal: Draw matrices with orthonormal rows or columns, of the same size, as Parcae's published
            configurations do; otherwise they are normal, cut at three standard deviations.
    """

    def __init__(self, *, orthogonal: bool = True) -> None:
        self.orthogonal = orthogonal

    def deviation(self, name: str, model: nn.Module) -> float:
        return 0.0 if is_output(name, model) else base_std(name, model)

    def is_orthogonal(self, name: str) -> bool:
        return self.orthogonal and ".injection." not in name

    def draw(self, name: str, weight: Tensor, model: nn.Module, generator: torch.Generator) -> None:
        if is_output(name, model):
            nn.init.zeros_(weight)
        else:
            super().draw(name, weight, model, generator)
