"""Injection through a feed-forward."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count
from mythos_blocks.injection.base import Injection
from mythos_blocks.tensors.rows import Index


@component("injection", "ffn")
class FFN(Injection):
    """The core reads ``down(silu(gate [h; e]) * up [h; e])``: the ``ffn`` of Huginn's research code.

    Nothing passes the feed-forward by. The widths of state and input may differ.

    Args:
        width: Channels of the state.
        input_width: Channels of the input e; the width where it is left out.
        hidden: Inner channels. ``null`` takes ``4 * width``, as there.
    """

    def __init__(self, width: int, input_width: int | None = None, *, hidden: Count | None = None) -> None:
        super().__init__()
        both, hidden = width + (input_width or width), hidden or 4 * width
        self.gate = nn.Linear(both, hidden, bias=False)
        self.up = nn.Linear(both, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def combine(self, h: Tensor, e: Tensor, signal: Tensor | None = None, t: Index = 0) -> Tensor:
        both = torch.cat((h, e), dim=-1)
        return super().combine(self.down(F.silu(self.gate(both)) * self.up(both)), e, signal, t)
