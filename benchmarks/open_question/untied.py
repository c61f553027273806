"""A layer with weights of its own for each iteration: the limit of what per-loop updates can add to a tied loop."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from mythos_blocks import Slot, SpecLike, build, component
from mythos_blocks.frame.frame import Frame
from mythos_blocks.layer.base import Layer


@component("layer", "untied")
class Untied(Layer):
    """Iteration t runs the t-th of as many layers as the loop has iterations; those beyond run the last one.

    All else of the loop (its update, injection, readout) is shared, so that this is the looped model without its tying.

    Args:
        width: Channels.
        max_loops: Iterations, and layers.
        layer: What each of them is.
    """

    def __init__(
        self, width: int, max_loops: int = 1, *, layer: Annotated[SpecLike, Slot("layer")] = "pre_norm"
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(build(layer, width, 1) for _ in range(max_loops))

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        frame = frame or Frame(t=0)
        assert frame.t is not None, "a layer of the core runs in an iteration"
        out: Tensor = self.layers[min(frame.t, len(self.layers) - 1)](x, frame)
        return out
