"""Norms before the branches."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mythos_blocks.component import component
from mythos_blocks.frame import Frame
from mythos_blocks.layer.base import Branch, Layer
from mythos_blocks.slots import AttentionSlot, FeedforwardSlot, NormSlot
from mythos_blocks.spec import build
from mythos_blocks.types import Positive


@component("layer", "pre_norm")
class PreNormLayer(Layer):
    """``x + attention(norm(x))``, then ``x + feedforward(norm(x))`` (arXiv 2002.04745).

    Shapes: ``(batch, positions, width) -> (batch, positions, width)``.

    Args:
        attention: How positions read each other.
        feedforward: What each position computes on its own.
        norm: The normalisation before both.
        layer_scale: Initial value of a learned factor on each branch, per channel (LayerScale, arXiv 2103.17239; Chen
            takes 1e-4); ``null`` for none.
        dropout: Probability that a channel of a branch is dropped in training.
    """

    def __init__(
        self,
        width: int,
        max_loops: int = 1,
        *,
        attention: AttentionSlot = "gqa",
        feedforward: FeedforwardSlot = "swiglu",
        norm: NormSlot = "rms",
        layer_scale: Positive | None = None,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    ) -> None:
        super().__init__()
        self.attention = build(attention, width, max_loops)
        self.feedforward = build(feedforward, width, max_loops)
        self.attention_norm = build(norm, width, max_loops)
        self.feedforward_norm = build(norm, width, max_loops)
        self.attention_branch = Branch(width, layer_scale, dropout)
        self.feedforward_branch = Branch(width, layer_scale, dropout)

    def reset_parameters(self, generator: torch.Generator) -> None:
        self.attention_branch.reset()
        self.feedforward_branch.reset()

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        frame = frame or Frame()
        t = frame.t
        x = x + self.attention_branch(self.attention(self.attention_norm(x, t), frame.at("attention")))
        out: Tensor = x + self.feedforward_branch(
            self.feedforward(self.feedforward_norm(x, t), frame.at("feedforward"))
        )
        return out
