"""Norms after the residual sums."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.frame.frame import Frame
from mythos_blocks.layer.base import TwoBranchLayer


@component("layer", "post_norm")
class PostNormLayer(TwoBranchLayer):
    """``norm(x + attention(x))``, then ``norm(x + feedforward(x))`` (Universal Transformer, arXiv 1807.03819; HRM).

    Shapes: ``(batch, positions, width) -> (batch, positions, width)``.

    Args:
        width: Channels of the residual stream.
        max_loops: Iterations that tables with a row for each have room for.
    """

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        frame = frame or Frame()
        t = frame.index
        x = self.attention_norm(x + self.attention_branch(self.attention(x, frame.at("attention"))), t)
        out: Tensor = self.feedforward_norm(
            x + self.feedforward_branch(self.feedforward(x, frame.at("feedforward"))), t
        )
        return out
