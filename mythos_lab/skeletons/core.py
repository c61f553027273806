"""A core: the loop, with a gain on the input."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from mythos_blocks import Loop, component


@component("core", "skeleton")
class Skeleton(Loop):
    """The loop of :class:`~mythos_blocks.Loop`, whose layers begin scaled.

    Args:
        width: Channels of what the prelude makes.
        initial: Factor on the layers' matrices at initialisation.
    """

    def __init__(self, width: int, *, initial: float = 0.5, **fields: Any) -> None:
        super().__init__(width, **fields)
        self.initial = initial

    def reset_parameters(self, generator: torch.Generator) -> None:
        for module in self.layers.modules():
            if isinstance(module, nn.Linear):
                module.weight.mul_(self.initial)
