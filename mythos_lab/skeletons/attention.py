"""Attention with one head, written out."""

from __future__ import annotations

from torch import Tensor, nn

from mythos_blocks import Attention, Frame, component
from mythos_blocks.declaring.types import Positive


@component("attention", "skeleton")
class Skeleton(Attention):
    """``softmax(scale * q k / sqrt(width)) v`` over the positions that the mask allows.

    Args:
        width: Channels of the state.
        max_loops: Iterations that training can draw, for what has a row for each.
        scale: Factor on the scores.
    """

    def __init__(self, width: int, max_loops: int = 1, *, scale: Positive = 1.0) -> None:
        super().__init__()
        self.score_scale = scale * width**-0.5
        self.q, self.k, self.v, self.out = (nn.Linear(width, width, bias=False) for _ in range(4))

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        frame = frame or Frame()
        q, k, v = (linear(x).unsqueeze(1) for linear in (self.q, self.k, self.v))  # (batch, heads, positions, width)
        k, v = frame.exchange(k, v)  # with what a cache, or another iteration, has written
        out: Tensor = self.out(frame.mask.attend(q, k, v, scale=self.score_scale).squeeze(1))
        return out
