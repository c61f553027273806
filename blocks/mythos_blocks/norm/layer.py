"""Layer normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Positive
from mythos_blocks.frame.inlining import NormRun
from mythos_blocks.norm.base import Norm
from mythos_blocks.tensors.precision import layer_norm
from mythos_blocks.tensors.rows import Index


@component("norm", "layer")
class LayerNorm(Norm):
    """Layer normalisation (arXiv 1607.06450), as in the Universal Transformer and Chen.

    Shapes: ``(..., width) -> (..., width)``.

    Args:
        width: Channels, over which it normalises.
        max_loops: Iterations that tables with a row for each have room for.
        eps: Added to the variance before the root.
        bias: Learn an offset for each channel, besides the gain.
    """

    bias: nn.Parameter | None

    def __init__(self, width: int, max_loops: int = 1, *, eps: Positive = 1e-5, bias: bool = True) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width)) if bias else None

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.ones_(self.weight)

    def forward(self, x: Tensor, t: Index | None = None) -> Tensor:
        return layer_norm(x, self.weight, self.bias, self.eps)

    def inlined(self) -> NormRun:
        weight, bias, eps = self.weight, self.bias, self.eps

        def run(x: Tensor, t: Index | None = None) -> Tensor:
            return layer_norm(x, weight, bias, eps)

        return run
