"""A normalisation with a gain for each iteration."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Positive
from mythos_blocks.norm.base import Norm
from mythos_blocks.tensors.precision import rms_norm
from mythos_blocks.tensors.rows import Beyond, Index, row


@component("norm", "per_loop")
class PerLoopNorm(Norm):
    """Root-mean-square normalisation with a gain for each iteration: a per-loop adapter of as many numbers as channels.

    Shapes: ``(..., width) -> (..., width)``.

    Args:
        width: Channels, over which it normalises.
        max_loops: Iterations that tables with a row for each have room for.
        eps: Added to the mean square before the root.
        beyond: What iterations past the table read: the last row (``clamp``), zeros, the last two rows' line
            (``extrapolate``), or an ``error``.
    """

    def __init__(self, width: int, max_loops: int = 1, *, eps: Positive = 1e-6, beyond: Beyond = "clamp") -> None:
        super().__init__()
        self.width, self.eps, self.beyond = width, eps, beyond
        self.reach = max_loops
        self.gain = nn.Parameter(torch.ones(max_loops, width))

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.ones_(self.gain)

    def forward(self, x: Tensor, t: Index | None = None) -> Tensor:
        gain = row(self.gain, 0 if t is None else t, self.beyond)
        return rms_norm(x, self.width, gain, self.eps)
