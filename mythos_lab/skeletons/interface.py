"""An interface: the coda reads the state through a gain."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks import Interface, component


@component("interface", "skeleton")
class Skeleton(Interface):
    """``gain * norm(h)``, with the model's norm before its head.

    Args:
        state_width: Channels of the state that leaves the loop.
        width: Channels that the coda reads.
    """

    def __init__(self, state_width: int, width: int) -> None:
        super().__init__()
        if state_width != width:
            raise ValueError(f"state_width={state_width} must be the width of the model, {width}")
        self.gain = nn.Parameter(torch.ones(width))

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.ones_(self.gain)

    def forward(self, h: Tensor, final_norm: nn.Module) -> Tensor:
        normed: Tensor = final_norm(h)
        return self.gain * normed
