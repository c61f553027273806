"""A step of part of the way."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Probability
from mythos_blocks.tensors.rows import Index
from mythos_blocks.update.base import Update


@component("update", "damped")
class Damped(Update):
    """``y = h + delta * (u - h)``: an Euler step of part of the way towards the core's output.

    Shapes: ``(..., width) -> (..., width)``.

    Args:
        width: Channels of the state.
        delta: Share of the way; its initial value where it is learned.
        learned: Learn delta for each channel, between 0 and 1.
    """

    def __init__(self, width: int, *, delta: Probability = 0.5, learned: bool = False) -> None:
        super().__init__()
        self.delta = delta
        self.logit = nn.Parameter(torch.zeros(width)) if learned else None

    def reset_parameters(self, generator: torch.Generator) -> None:
        if self.logit is not None:
            nn.init.constant_(self.logit, math.log(self.delta / (1 - self.delta)))

    def forward(self, h: Tensor, u: Tensor, carry: Tensor | None = None, t: Index = 0) -> tuple[Tensor, Tensor | None]:
        delta = self.delta if self.logit is None else torch.sigmoid(self.logit).to(h.dtype)
        return h + delta * (u - h), None
