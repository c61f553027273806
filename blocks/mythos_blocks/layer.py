"""Layers, and stacks of them."""

from __future__ import annotations

from torch import Tensor, nn

from mythos_blocks.component import Module, component
from mythos_blocks.frame import Frame
from mythos_blocks.slots import AttentionSlot, FeedforwardSlot, LayerSlot, NormSlot
from mythos_blocks.spec import build
from mythos_blocks.types import Depth


@component("layer", "pre_norm")
class PreNormLayer(Module):
    """``x + attention(norm(x))``, then ``x + feedforward(norm(x))`` (arXiv 2002.04745).

    Shapes: ``(batch, positions, width) -> (batch, positions, width)``.

    Args:
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
        self.attention_norm = build(norm, width, max_loops)
        self.attention = build(attention, width, max_loops)
        self.feedforward_norm = build(norm, width, max_loops)
        self.feedforward = build(feedforward, width, max_loops)

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        frame = frame or Frame()
        x = x + self.attention(self.attention_norm(x, frame.t), frame.at("attention"))
        out: Tensor = x + self.feedforward(self.feedforward_norm(x, frame.t), frame.at("feedforward"))
        return out


@component("stack", "sequence")
class Stack(Module):
    """Layers with weights of their own, applied one after the other.

    Shapes: ``(batch, positions, width) -> (batch, positions, width)``.

    Args:
        depth: Number of layers; zero passes the input on.
        layer: What each layer is.
    """

    def __init__(self, width: int, *, depth: Depth = 1, layer: LayerSlot = "pre_norm") -> None:
        super().__init__()
        self.layers = nn.ModuleList(build(layer, width) for _ in range(depth))

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        frame = frame or Frame()
        for i, layer in enumerate(self.layers):
            x = layer(x, frame.at(i))
            frame.record(x, *frame.path, i)
        return x
