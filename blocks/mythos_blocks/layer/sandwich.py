"""Norms before and after the branches."""

from __future__ import annotations

from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.frame.frame import Frame
from mythos_blocks.frame.inlining import Run, inlined_norm, normed
from mythos_blocks.layer.base import TwoBranchLayer


@component("layer", "sandwich")
class SandwichLayer(TwoBranchLayer):
    """``x + norm(attention(norm(x)))``, then the same with the feed-forward: four norms (Ouro, arXiv 2510.25741).

    Shapes: ``(batch, positions, width) -> (batch, positions, width)``.

    Args:
        width: Channels of the residual stream.
        max_loops: Iterations that tables with a row for each have room for.
    """

    further_norms = ("attention_out_norm", "feedforward_out_norm")
    attention_out_norm: nn.Module
    feedforward_out_norm: nn.Module

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        frame = frame or Frame()
        t = frame.index
        attended = self.attention(self.attention_norm(x, t), frame.at("attention"))
        x = x + self.attention_branch(self.attention_out_norm(attended, t))
        computed = self.feedforward(self.feedforward_norm(x, t), frame.at("feedforward"))
        out: Tensor = x + self.feedforward_branch(self.feedforward_out_norm(computed, t))
        return out

    def inlined(self, frame: Frame, like: Tensor) -> Run:
        attend, compute = self.inlined_parts(frame, like)
        attend = self.attention_branch.after(normed(attend, self.attention_out_norm))
        compute = self.feedforward_branch.after(normed(compute, self.feedforward_out_norm))
        first, second = inlined_norm(self.attention_norm), inlined_norm(self.feedforward_norm)

        def run(x: Tensor, now: Frame) -> Tensor:
            x = x + attend(first(x, now.index), now)
            return x + compute(second(x, now.index), now)

        return run
