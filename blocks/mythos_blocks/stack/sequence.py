"""Layers one after the other."""

from __future__ import annotations

from torch import Tensor, nn

from mythos_blocks.declaring.component import Module, component
from mythos_blocks.declaring.slots import LayerSlot
from mythos_blocks.declaring.spec import SpecLike, build
from mythos_blocks.declaring.types import Depth
from mythos_blocks.frame.frame import Frame


@component("stack", "sequence")
class Stack(Module):
    """Layers with weights of their own, applied one after the other.

    Shapes: ``(batch, positions, width) -> (batch, positions, width)``.

    Args:
        width: Channels of the residual stream.
        depth: Number of layers; zero passes the input on.
        layer: What each layer is.
        alternate: What every second layer is instead (Parcae has value embeddings there); ``null`` for all alike.
    """

    def __init__(
        self,
        width: int,
        *,
        depth: Depth = 1,
        layer: LayerSlot = "pre_norm",
        alternate: LayerSlot | None = None,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(build(spec, width) for spec in in_turn(depth, layer, alternate))

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        """The last layer's output: ``(batch, positions, width) -> (batch, positions, width)``."""
        frame = frame or Frame()
        for i, layer in enumerate(self.layers):
            x = layer(x, frame.at(i))
            frame.record(x, *frame.path, i)
        return x


def in_turn(depth: int, layer: SpecLike, alternate: SpecLike | None) -> list[SpecLike]:
    """What each of ``depth`` layers is: ``layer`` and ``alternate`` in turn.

    Raises:
        ValueError: There is no second layer for ``alternate`` to be.
    """
    if alternate is not None and depth < 2:
        raise ValueError(f"alternate is every second layer, and depth={depth}")
    return [layer if alternate is None or i % 2 == 0 else alternate for i in range(depth)]
