"""The coordinates of the Universal Transformer."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import NonNegative, Positive
from mythos_blocks.depth_signal.base import DepthSignal
from mythos_blocks.tensors.precision import exact_dtype
from mythos_blocks.tensors.rows import Beyond, Index, check_index, row


@component("depth_signal", "coordinates")
class Coordinates(DepthSignal):
    """Position and iteration, added to the state in every iteration (Universal Transformer, arXiv 1807.03819, eq. 6-7).

    ``P[i, 2j] = sin(i / theta^(2j/d)) + sin(t / theta^(2j/d))``, cosines in odd channels; t counts from 1 there.

    T2T's code has another form: sines, then cosines, of ``i / theta^(j / (d/2 - 1))``, so that the longest wavelength
    is ``2 pi theta``; t counts from 0, an odd last channel is left alone, and a learned table stands in units of
    ``1 / sqrt(d)``. Its default is that form with the learned step.

    Args:
        width: Channels of the state.
        max_loops: Iterations that tables with a row for each have room for.
        form: The ``paper``'s, or ``t2t``.
        step: The iteration's part: ``sinusoidal``, or a ``learned`` table.
        theta: Base of the wavelengths.
        std: Standard deviation of the initial table, where it is learned. ``null`` takes 0.02, or T2T's 1.
        beyond: What iterations past the table read, where it is learned: its last row, zeros, the line through the
            last two rows, or an error.

    Raises:
        ValueError: The width is odd, in the paper's form; or ``std`` or ``beyond`` are set without a table.
    """

    exact_buffers: tuple[str, ...] = ("frequencies",)
    frequencies: Tensor

    def __init__(
        self,
        width: int,
        max_loops: int,
        *,
        form: Literal["paper", "t2t"] = "paper",
        step: Literal["sinusoidal", "learned"] = "sinusoidal",
        theta: Positive = 10_000.0,
        std: NonNegative | None = None,
        beyond: Beyond = "clamp",
    ) -> None:
        super().__init__()
        if width % 2 and form == "paper":
            raise ValueError(f"depth_signal 'coordinates' needs an even width in form 'paper', and it is {width}")
        if step == "sinusoidal" and (std is not None or beyond != "clamp"):
            field = f"std={std}" if std is not None else f"beyond={beyond!r}"
            raise ValueError(f"depth_signal 'coordinates': {field} is of a table, which step='learned' has")
        self.width, self.form, self.beyond = width, form, beyond
        self.unit = 1.0 if form == "paper" else width**0.5
        self.std = std if std is not None else 0.02 if form == "paper" else 1.0
        self.reach = max_loops if step == "learned" else None
        self.table = nn.Parameter(torch.zeros(max_loops, width)) if step == "learned" else None
        half = torch.arange(width // 2, dtype=exact_dtype())
        exponents = 2 * half / width if form == "paper" else half / max(1, width // 2 - 1)
        self.register_buffer("frequencies", theta**-exponents, persistent=False)

    def reset_parameters(self, generator: torch.Generator) -> None:
        if self.table is not None:
            nn.init.normal_(self.table, std=self.std / self.unit, generator=generator)

    def forward(self, t: Index, positions: Tensor | None = None) -> Tensor:
        assert positions is not None, "coordinates are of positions"
        check_index(t)
        if self.table is not None:
            step = self.unit * row(self.table, t, self.beyond)
        else:
            step = self._waves(torch.as_tensor(t + 1 if self.form == "paper" else t, device=positions.device))
        return self._waves(positions) + step

    def _waves(self, of: Tensor) -> Tensor:
        angles = of.to(self.frequencies).unsqueeze(-1) * self.frequencies
        if self.form == "paper":
            return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)
        return F.pad(torch.cat((angles.sin(), angles.cos()), dim=-1), (0, self.width % 2))
