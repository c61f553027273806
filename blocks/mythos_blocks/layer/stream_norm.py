"""Norms before the branches and on the residual stream."""

from __future__ import annotations

from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.frame.frame import Frame
from mythos_blocks.frame.inlining import Run, inlined_norm
from mythos_blocks.layer.base import TwoBranchLayer


@component("layer", "stream_norm")
class StreamNormLayer(TwoBranchLayer):
    """``norm(x + attention(norm(x)))``, then the same with the feed-forward (Huginn's sandwich, arXiv 2502.05171).

    Four norms, two of which act on the residual stream itself.

    Shapes: ``(batch, positions, width) -> (batch, positions, width)``.

    Args:
        width: Channels of the residual stream.
        max_loops: Iterations that tables with a row for each have room for.
    """

    further_norms = ("attention_stream_norm", "feedforward_stream_norm")
    attention_stream_norm: nn.Module
    feedforward_stream_norm: nn.Module

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        frame = frame or Frame()
        t = frame.index
        x = self.attention_stream_norm(
            x + self.attention_branch(self.attention(self.attention_norm(x, t), frame.at("attention"))), t
        )
        computed = self.feedforward_branch(self.feedforward(self.feedforward_norm(x, t), frame.at("feedforward")))
        out: Tensor = self.feedforward_stream_norm(x + computed, t)
        return out

    def inlined(self, frame: Frame, like: Tensor) -> Run:
        attend, compute = self.inlined_parts(frame, like)
        attend, compute = self.attention_branch.after(attend), self.feedforward_branch.after(compute)
        first, second = inlined_norm(self.attention_norm), inlined_norm(self.feedforward_norm)
        between, last = inlined_norm(self.attention_stream_norm), inlined_norm(self.feedforward_stream_norm)

        def run(x: Tensor, now: Frame) -> Tensor:
            x = between(x + attend(first(x, now.index), now), now.index)
            return last(x + compute(second(x, now.index), now), now.index)

        return run
