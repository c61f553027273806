"""Attention over positions, over depth and over experts in one layer."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.slots import AttentionSlot, DepthAttentionSlot, FeedforwardSlot, NormSlot
from mythos_blocks.declaring.spec import build
from mythos_blocks.frame.frame import Frame
from mythos_blocks.layer.base import Layer


@component("layer", "mixture")
class MixtureLayer(Layer):
    """Sequence attention, depth attention and feed-forward, mixed: Dreamer's layer (arXiv 2601.21582), reconstructed.

    ``parallel``: ``x + W [SA(n); DA(n); FF(n)]`` with ``n = norm(x)``; ``sequential``: one residual sum after the
    other, each branch with a norm of its own. The paper's text was not available: which it uses is not known.

    Shapes: ``(batch, positions, width) -> (batch, positions, width)``.

    Args:
        width: Channels of the residual stream.
        max_loops: Iterations that tables with a row for each have room for.
        attention: How positions read each other (SA).
        depth_attention: How a position reads its own states of earlier iterations (DA); ``none`` leaves it out.
        feedforward: What each position computes on its own; ``expert_attention`` is Dreamer's EA.
        wiring: How the branches join the residual stream.
        norm: The normalisation before the branches.
    """

    def __init__(
        self,
        width: int,
        max_loops: int = 1,
        *,
        attention: AttentionSlot = "gqa",
        depth_attention: DepthAttentionSlot = "own_token",
        feedforward: FeedforwardSlot = "swiglu",
        wiring: Literal["parallel", "sequential"] = "sequential",
        norm: NormSlot = "rms",
    ) -> None:
        super().__init__()
        self.attention = build(attention, width, max_loops)
        self.depth_attention = build(depth_attention, width, max_loops)
        self.feedforward = build(feedforward, width, max_loops)
        self.names = ["attention", "depth_attention", "feedforward"]
        if self.depth_attention.kind == "none":
            self.names.remove("depth_attention")
        count = 1 if wiring == "parallel" else len(self.names)
        self.norms = nn.ModuleList(build(norm, width, max_loops) for _ in range(count))
        self.mix = nn.Linear(len(self.names) * width, width, bias=False) if wiring == "parallel" else None

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        frame = frame or Frame()
        if self.mix is not None:
            n = self.norms[0](x, frame.index)
            branches = [getattr(self, name)(n, frame.at(name)) for name in self.names]
            out: Tensor = x + self.mix(torch.cat(branches, dim=-1))
            return out
        for name, norm in zip(self.names, self.norms, strict=True):
            x = x + getattr(self, name)(norm(x, frame.index), frame.at(name))
        return x
