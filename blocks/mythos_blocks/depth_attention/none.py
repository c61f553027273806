"""No depth attention."""

from __future__ import annotations

import torch
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.depth_attention.base import DepthAttention
from mythos_blocks.frame.frame import Frame


@component("depth_attention", "none")
class NoDepthAttention(DepthAttention):
    """What earlier iterations made is read through the state alone.

    Args:
        width: Channels of the state.
        max_loops: Iterations that tables with a row for each have room for.
    """

    def __init__(self, width: int, max_loops: int = 1) -> None:
        super().__init__()

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        return torch.zeros_like(x)
