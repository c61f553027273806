"""Layers one after the other."""

from __future__ import annotations

from torch import Tensor, nn

from mythos_blocks.declaring.component import Module, component
from mythos_blocks.declaring.slots import LayerSlot
from mythos_blocks.declaring.spec import SpecLike, build
from mythos_blocks.declaring.types import Depth, NoneOrMore
from mythos_blocks.frame.frame import Frame
from mythos_blocks.frame.inlining import inlined, runs_past_modules
from mythos_blocks.frame.places import turnings


@component("stack", "sequence")
class Stack(Module):
    """Layers with weights of their own, applied one after the other.

    Shapes: ``(batch, positions, width) -> (batch, positions, width)``.

    Args:
        width: Channels of the residual stream.
        depth: Number of layers; zero passes the input on.
        layer: What each layer is.
        alternate: What every second layer is instead (Parcae has value embeddings there); ``null`` for all alike.
        schedule: Layers in the order in which they run, counted from 0, some of them more than once, such as
            ``[0, 1, 2, 3, 2, 3, 4]``; ``null`` runs each once.

    Raises:
        ValueError: The schedule leaves a layer out, or names one that there is not.
    """

    def __init__(
        self,
        width: int,
        *,
        depth: Depth = 1,
        layer: LayerSlot = "pre_norm",
        alternate: LayerSlot | None = None,
        schedule: list[NoneOrMore] | None = None,
    ) -> None:
        super().__init__()
        self.order = in_order(schedule, depth)
        self.layers = nn.ModuleList(build(spec, width) for spec in in_turn(depth, layer, alternate))
        self.turnings = turnings(self.layers.modules())

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        """The last layer's output: ``(batch, positions, width) -> (batch, positions, width)``."""
        frame = (frame or Frame()).placed(x, self.turnings)
        past_modules = runs_past_modules(x, frame)
        for place, i in enumerate(self.order):
            here, layer = frame.at(place), self.layers[i]
            x = inlined(layer, here, x)(x, here) if past_modules else layer(x, here)
            frame.record(x, *frame.path, place)
        return x


def in_turn(depth: int, layer: SpecLike, alternate: SpecLike | None) -> list[SpecLike]:
    """What each of ``depth`` layers is: ``layer`` and ``alternate`` in turn.

    Raises:
        ValueError: There is no second layer for ``alternate`` to be.
    """
    if alternate is not None and depth < 2:
        raise ValueError(f"alternate is every second layer, and depth={depth}")
    return [layer if alternate is None or i % 2 == 0 else alternate for i in range(depth)]


def in_order(schedule: list[int] | None, depth: int) -> tuple[int, ...]:
    """Which layer runs at each place.

    Raises:
        ValueError: A layer is left out, or there is no such layer.
    """
    order = tuple(range(depth) if schedule is None else schedule)
    if set(order) != set(range(depth)):
        left = sorted(set(range(depth)) - set(order))
        what = f"leaves out layer {left[0]}" if left else f"names layer {max(order)}"
        raise ValueError(f"schedule={list(order)} {what}, and depth={depth} has layers 0 to {depth - 1}")
    return order
