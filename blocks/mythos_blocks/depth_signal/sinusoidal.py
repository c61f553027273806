"""Sinusoids of the loop index."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count, Positive
from mythos_blocks.depth_signal.base import DepthSignal
from mythos_blocks.tensors.precision import exact_dtype
from mythos_blocks.tensors.rows import Index, check_index, own_row
from mythos_blocks.tensors.tracing import is_traced


@component("depth_signal", "sinusoidal")
class Sinusoidal(DepthSignal):
    """Sines, then cosines, of the loop index on the first channels, as in OpenMythos; defined for every index.

    Args:
        width: Channels of the state.
        max_loops: Iterations that tables with a row for each have room for.
        num_channels: Channels that carry the signal; at most the width. An odd number leaves out the last cosine.
            ``null`` takes ``width // 8`` rounded down to even, but at least 2.
        theta: Base of the geometric series of wavelengths.

    Raises:
        ValueError: ``num_channels`` exceeds the width.
    """

    exact_buffers: tuple[str, ...] = ("frequencies", "rows")
    frequencies: Tensor
    rows: Tensor

    def __init__(
        self, width: int, max_loops: int, *, num_channels: Count | None = None, theta: Positive = 10_000.0
    ) -> None:
        super().__init__()
        channels = num_channels or max(2, width // 8 // 2 * 2)
        if channels > width:
            raise ValueError(f"num_channels={channels} must be at most width={width}")
        self.width, self.channels = width, channels
        exponents = torch.arange(0, channels, 2, dtype=exact_dtype()) / channels
        self.register_buffer("frequencies", theta**-exponents, persistent=False)
        # Of trained iterations, so that a host that knows which it is makes no sines in each. They hold as many digits
        # as they were made with: a model that was widened makes its own.
        rows = torch.stack([self._signal(torch.tensor(t)) for t in range(max_loops)])
        self.register_buffer("rows", rows, persistent=False)
        self.made_in = rows.dtype

    def forward(self, t: Index, positions: Tensor | None = None) -> Tensor:
        check_index(t)
        if isinstance(t, int) or (t.device.type == "cpu" and not is_traced(t)):
            index = int(t)
            if index < len(self.rows) and self.rows.dtype is self.made_in:
                return own_row(self.rows, index)
        return self._signal(t)

    def ahead(self, num_loops: int) -> Sequence[Tensor] | None:
        there = num_loops <= len(self.rows) and self.rows.dtype is self.made_in
        return self.rows[:num_loops].unbind() if there else None

    def _signal(self, t: Index) -> Tensor:
        angles = t * self.frequencies
        signal = torch.cat((angles.sin(), angles.cos()))[: self.channels]
        return torch.nn.functional.pad(signal, (0, self.width - self.channels))
