"""Norms before the branches."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.frame.frame import Frame
from mythos_blocks.layer.base import TwoBranchLayer


@component("layer", "pre_norm")
class PreNormLayer(TwoBranchLayer):
    """``x + attention(norm(x))``, then ``x + feedforward(norm(x))`` (arXiv 2002.04745).

    Shapes: ``(batch, positions, width) -> (batch, positions, width)``.

    Args:
        width: Channels of the residual stream.
        max_loops: Iterations that tables with a row for each have room for.
    """

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        frame = frame or Frame()
        t = frame.index
        x = x + self.attention_branch(self.attention(self.attention_norm(x, t), frame.at("attention")))
        out: Tensor = x + self.feedforward_branch(
            self.feedforward(self.feedforward_norm(x, t), frame.at("feedforward"))
        )
        return out
