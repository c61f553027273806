"""A normalisation: by the largest channel."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks import Norm, component
from mythos_blocks.declaring.types import Positive
from mythos_blocks.tensors.rows import Index


@component("norm", "skeleton")
class Skeleton(Norm):
    """``gain * x / max|x|``.

    Args:
        width: Channels.
        max_loops: Iterations that training can draw, for norms with a gain for each.
        eps: Added to the largest channel.
    """

    def __init__(self, width: int, max_loops: int = 1, *, eps: Positive = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.gain = nn.Parameter(torch.ones(width))

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.ones_(self.gain)

    def forward(self, x: Tensor, t: Index | None = None) -> Tensor:
        return self.gain * (x / (x.abs().amax(-1, keepdim=True) + self.eps))
