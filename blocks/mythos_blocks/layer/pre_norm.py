"""Norms before the branches."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count
from mythos_blocks.frame.frame import Frame
from mythos_blocks.frame.inlining import Run, inlined_norm
from mythos_blocks.layer.base import TwoBranchLayer


@component("layer", "pre_norm")
class PreNormLayer(TwoBranchLayer):
    """``x + attention(norm(x))``, then ``x + feedforward(norm(x))`` (arXiv 2002.04745).

    Shapes: ``(batch, positions, width) -> (batch, positions, width)``.

    Args:
        width: Channels of the residual stream.
        max_loops: Iterations that tables with a row for each have room for.
        attention_loops: How often attention runs, with its norm and residual, before the feed-forward (a mixer four
            times as often: arXiv 2608.18230).
        feedforward_loops: How often the feed-forward runs after it.
    """

    def __init__(
        self, width: int, max_loops: int = 1, *, attention_loops: Count = 1, feedforward_loops: Count = 1, **fields: Any
    ) -> None:
        super().__init__(width, max_loops, **fields)
        self.attention_loops, self.feedforward_loops = attention_loops, feedforward_loops

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        frame = frame or Frame()
        t = frame.index
        for again in range(self.attention_loops):
            place = frame.at("attention", *(again,) * (again > 0))
            x = x + self.attention_branch(self.attention(self.attention_norm(x, t), place))
        for again in range(self.feedforward_loops):
            place = frame.at("feedforward", *(again,) * (again > 0))
            x = x + self.feedforward_branch(self.feedforward(self.feedforward_norm(x, t), place))
        return x

    def lies_flat(self) -> bool:
        return self.attention_loops == 1 and self.feedforward_loops == 1 and super().lies_flat()

    def inlined(self, frame: Frame, like: Tensor) -> Run | None:
        if self.attention_loops > 1 or self.feedforward_loops > 1:
            return None
        attend, compute = self.inlined_parts(frame, like)
        attend, compute = self.attention_branch.after(attend), self.feedforward_branch.after(compute)
        first, second = inlined_norm(self.attention_norm), inlined_norm(self.feedforward_norm)

        def run(x: Tensor, now: Frame) -> Tensor:
            x = x + attend(first(x, now.index), now)
            return x + compute(second(x, now.index), now)

        return run
