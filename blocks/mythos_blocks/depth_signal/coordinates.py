"""The coordinates of the Universal Transformer."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import NonNegative, Positive
from mythos_blocks.depth_signal.base import DepthSignal
from mythos_blocks.tensors.rows import Beyond, Index, check_index, row


@component("depth_signal", "coordinates")
class Coordinates(DepthSignal):
    """Position and iteration, added to the state in every iteration (Universal Transformer, arXiv 1807.03819, eq. 6-7).

    ``P[i, 2j] = sin(i / theta^(2j/d)) + sin(t / theta^(2j/d))``, cosines in odd channels; t counts from 1 there.

    Args:
        step: The iteration's part: ``sinusoidal`` as in the paper, or a ``learned`` table, as T2T has by default.
        theta: Base of the wavelengths.
        std: Standard deviation of the initial table, where it is learned.
        beyond: What iterations past the table read, where it is learned: its last row, zeros, the line through the
            last two rows, or an error.

    Raises:
        ValueError: The width is odd.
    """

    exact_buffers: tuple[str, ...] = ("frequencies",)
    frequencies: Tensor

    def __init__(
        self,
        width: int,
        max_loops: int,
        *,
        step: Literal["sinusoidal", "learned"] = "sinusoidal",
        theta: Positive = 10_000.0,
        std: NonNegative = 0.02,
        beyond: Beyond = "clamp",
    ) -> None:
        super().__init__()
        if width % 2:
            raise ValueError(f"depth_signal 'coordinates' needs an even width, and it is {width}")
        self.std, self.beyond = std, beyond
        self.reach = max_loops if step == "learned" else None
        self.table = nn.Parameter(torch.zeros(max_loops, width)) if step == "learned" else None
        exponents = torch.arange(0, width, 2, dtype=torch.float32) / width
        self.register_buffer("frequencies", theta**-exponents, persistent=False)

    def reset_parameters(self, generator: torch.Generator) -> None:
        if self.table is not None:
            nn.init.normal_(self.table, std=self.std, generator=generator)

    def forward(self, t: Index, positions: Tensor | None = None) -> Tensor:
        assert positions is not None, "coordinates are of positions"
        check_index(t)
        step = (
            self._waves(torch.as_tensor(t + 1, device=positions.device).float())
            if self.table is None
            else row(self.table, t, self.beyond)
        )
        return self._waves(positions.float()) + step

    def _waves(self, of: Tensor) -> Tensor:
        angles = of.to(self.frequencies.device).unsqueeze(-1) * self.frequencies
        return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)
