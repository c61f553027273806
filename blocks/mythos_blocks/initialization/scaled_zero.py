"""Layers that begin as the identity."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.component import component
from mythos_blocks.initialization.base import Initialization, base_std, is_output


@component("initialization", "scaled_zero")
class ScaledZero(Initialization):
    """``sd = sqrt(2 / (5 d))``, and zero for what writes to the residual stream, as in Parcae (arXiv 2604.12946).

    Every layer begins as the identity. What feeds a zero matrix has no gradient until the first step has moved it.
    """

    def __init__(self) -> None:
        pass

    def draw(self, name: str, weight: Tensor, model: nn.Module, generator: torch.Generator) -> None:
        if is_output(name):
            nn.init.zeros_(weight)
            return
        std = base_std(model)
        nn.init.trunc_normal_(weight, std=std, a=-3 * std, b=3 * std, generator=generator)
