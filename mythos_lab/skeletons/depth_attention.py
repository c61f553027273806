"""Depth attention: a position reads the mean of its earlier states."""

from __future__ import annotations

from torch import Tensor, nn

from mythos_blocks import DepthAttention, Frame, component


@component("depth_attention", "skeleton")
class Skeleton(DepthAttention):
    """``W mean_(s <= t) x_s``, of the same position.

    Args:
        width: Channels of the state.
        max_loops: Iterations that training can draw, for what has a row for each.
    """

    reads_memory = True

    def __init__(self, width: int, max_loops: int = 1) -> None:
        super().__init__()
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        frame = frame or Frame()
        (depths,) = frame.over_depth(x)  # (depths, batch, positions, width)
        there = frame.depths_read(len(depths), None, x.device).view(-1, 1, 1, 1)
        y: Tensor = self.out((depths * there).sum(0) / there.sum())
        return y
