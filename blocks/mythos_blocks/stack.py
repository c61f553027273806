"""Layers one after the other."""

from __future__ import annotations

from torch import Tensor, nn

from mythos_blocks.component import Module, component
from mythos_blocks.frame import Frame
from mythos_blocks.slots import LayerSlot
from mythos_blocks.spec import build
from mythos_blocks.types import Depth


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
