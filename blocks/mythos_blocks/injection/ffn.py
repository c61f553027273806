"""Injection through a feed-forward."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mythos_blocks.component import component
from mythos_blocks.injection.base import Injection
from mythos_blocks.types import Count


@component("injection", "ffn")
class FFN(Injection):
    """The core reads ``h + down(silu(up [h; e]))``: state and input meet in a hidden layer.

    Huginn's research code names a feed-forward among its injections; its file was not available, so this is the plain
    form. The widths of state and input may differ.

    Args:
        hidden: Inner channels. ``null`` takes twice the state's width.
    """

    def __init__(self, width: int, input_width: int | None = None, *, hidden: Count | None = None) -> None:
        super().__init__()
        hidden = hidden or 2 * width
        self.up = nn.Linear(width + (input_width or width), hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def combine(self, h: Tensor, e: Tensor, signal: Tensor | None) -> Tensor:
        return super().combine(h + self.down(F.silu(self.up(torch.cat((h, e), dim=-1)))), e, signal)
