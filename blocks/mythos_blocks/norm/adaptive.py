"""A normalisation that is conditioned on the iteration."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count, Positive
from mythos_blocks.norm.base import Norm
from mythos_blocks.tensors.plain import input_dtype
from mythos_blocks.tensors.precision import exact_dtype, rms_norm
from mythos_blocks.tensors.rows import Index, check_index


@component("norm", "adaptive")
class AdaptiveNorm(Norm):
    """``norm(x) * (1 + scale(t)) + shift(t)``, time-conditioned as in diffusion transformers (adaLN, arXiv 2212.09748).

    Scale and shift come from sinusoids of the iteration through one hidden layer, so every iteration has its own.

    Shapes: ``(..., width) -> (..., width)``.

    Args:
        width: Channels, over which it normalises.
        max_loops: Iterations that tables with a row for each have room for.
        num_frequencies: Sinusoids of the iteration that are read; twice as many channels.
        hidden: Inner channels between them and the scale and shift.
        eps: Added to the mean square before the root.
    """

    exact_buffers: tuple[str, ...] = ("frequencies",)
    frequencies: Tensor

    def __init__(
        self,
        width: int,
        max_loops: int = 1,
        *,
        num_frequencies: Count = 16,
        hidden: Count = 32,
        eps: Positive = 1e-6,
    ) -> None:
        super().__init__()
        self.width, self.eps = width, eps
        exponents = torch.arange(num_frequencies, dtype=exact_dtype()) / num_frequencies
        self.register_buffer("frequencies", 10_000.0**-exponents, persistent=False)
        self.inner = nn.Linear(2 * num_frequencies, hidden)
        self.outer = nn.Linear(hidden, 2 * width)

    def forward(self, x: Tensor, t: Index | None = None) -> Tensor:
        if t is not None:
            check_index(t)
        angles = (0 if t is None else t) * self.frequencies
        # One row: quantised linears take no vectors.
        time = torch.cat((angles.cos(), angles.sin())).to(input_dtype(self.inner, x)).unsqueeze(0)
        scale, shift = self.outer(F.silu(self.inner(time))).squeeze(0).to(x.dtype).chunk(2)
        return rms_norm(x, self.width, eps=self.eps) * (1 + scale) + shift
