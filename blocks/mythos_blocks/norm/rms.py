"""Root-mean-square normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Positive
from mythos_blocks.frame.inlining import NormRun
from mythos_blocks.norm.base import Norm
from mythos_blocks.tensors.precision import rms_norm
from mythos_blocks.tensors.rows import Index


@component("norm", "rms")
class RMSNorm(Norm):
    """Root-mean-square normalisation with a learned gain (arXiv 1910.07467).

    Shapes: ``(..., width) -> (..., width)``.

    Args:
        width: Channels, over which it normalises.
        max_loops: Iterations that tables with a row for each have room for.
        eps: Added to the mean square before the root.
        gain: Learn a gain for each channel.
    """

    weight: nn.Parameter | None

    def __init__(self, width: int, max_loops: int = 1, *, eps: Positive = 1e-6, gain: bool = True) -> None:
        super().__init__()
        self.width, self.eps = width, eps
        self.weight = nn.Parameter(torch.ones(width)) if gain else None

    def reset_parameters(self, generator: torch.Generator) -> None:
        if self.weight is not None:
            nn.init.ones_(self.weight)

    def forward(self, x: Tensor, t: Index | None = None) -> Tensor:
        return rms_norm(x, self.width, self.weight, self.eps)

    def inlined(self) -> NormRun:
        width, weight, eps = self.width, self.weight, self.eps
        dtype, shape = None if weight is None else weight.dtype, (width,)

        def run(x: Tensor, t: Index | None = None) -> Tensor:
            if x.dtype is not dtype:
                return rms_norm(x, width, weight, eps)
            out = torch.rms_norm(x, shape, weight, eps)
            return out if out.dtype is dtype else out.to(dtype)  # autocast widens it on CUDA

        return run
