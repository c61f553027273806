"""The contract of a stabiliser, and none."""

from __future__ import annotations

from torch import nn

from mythos_blocks.component import Component, component


class Stabilizer(Component):
    """Acts on the core's layers after every optimiser step, without a gradient."""

    def apply(self, layers: nn.Module) -> None:
        """Change the layers' weights in place."""


@component("stabilizer", "none")
class NoStabilizer(Stabilizer):
    """The optimiser alone moves the weights."""

    def __init__(self) -> None:
        pass
