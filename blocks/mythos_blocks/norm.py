"""Normalisation over channels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mythos_blocks.component import Module, component
from mythos_blocks.types import Positive


@component("norm", "rms")
class RMSNorm(Module):
    """Root-mean-square normalisation with a learned gain (arXiv 1910.07467).

    Shapes: ``(..., width) -> (..., width)``.

    Args:
        eps: Added to the mean square before the root.
    """

    def __init__(self, width: int, max_loops: int = 1, *, eps: Positive = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.ones_(self.weight)

    def forward(self, x: Tensor, t: int | None = None) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), self.eps)


@component("norm", "none")
class NoNorm(Module):
    """No normalisation."""

    def __init__(self, width: int, max_loops: int = 1) -> None:
        super().__init__()

    def forward(self, x: Tensor, t: int | None = None) -> Tensor:
        return x
