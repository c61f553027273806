"""A layer: attention and feed-forward side by side."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks import Frame, Layer, build, component
from mythos_blocks.declaring.slots import AttentionSlot, FeedforwardSlot, NormSlot


@component("layer", "skeleton")
class Skeleton(Layer):
    """``x + attention(norm(x)) + feedforward(norm(x))``.

    Args:
        width: Channels of the residual stream.
        max_loops: Iterations that training can draw, for what has a row for each.
        attention: How positions read each other.
        feedforward: What each position computes on its own.
        norm: The normalisation before both.
    """

    def __init__(
        self,
        width: int,
        max_loops: int = 1,
        *,
        attention: AttentionSlot = "gqa",
        feedforward: FeedforwardSlot = "swiglu",
        norm: NormSlot = "rms",
    ) -> None:
        super().__init__()
        self.attention, self.feedforward = build(attention, width, max_loops), build(feedforward, width, max_loops)
        self.norm = build(norm, width, max_loops)

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        frame = frame or Frame()
        n = self.norm(x, frame.index)
        y: Tensor = x + self.attention(n, frame.at("attention")) + self.feedforward(n, frame.at("feedforward"))
        return y
