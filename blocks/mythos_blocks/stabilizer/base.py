"""The contract of a stabiliser."""

from __future__ import annotations

from torch import nn

from mythos_blocks.declaring.component import Component
from mythos_blocks.declaring.contract import contract


@contract("stabilizer")
class Stabilizer(Component):
    """Acts on the core's layers after every optimiser step, without a gradient."""

    def apply(self, layers: nn.Module) -> None:
        """Change the layers' weights in place."""
