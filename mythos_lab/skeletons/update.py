"""An update that moves the state by a share of the core's output."""

from __future__ import annotations

import torch
from torch import Tensor

from mythos_blocks import Update, component
from mythos_blocks.declaring.types import Probability
from mythos_blocks.tensors.rows import Index


@component("update", "skeleton")
class Skeleton(Update):
    """``h + step * (u - h)``.

    Args:
        width: Channels of the state.
        step: Share of the way from the old state to the core's output.
    """

    def __init__(self, width: int, *, step: Probability = 0.5) -> None:
        super().__init__()
        self.step = step

    def forward(self, h: Tensor, u: Tensor, carry: Tensor | None = None, t: Index = 0) -> tuple[Tensor, Tensor | None]:
        return torch.lerp(h, u, self.step), None
