"""A rotation of the state by the iteration."""

from __future__ import annotations

import torch
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count, Positive
from mythos_blocks.depth_signal.base import DepthSignal
from mythos_blocks.tensors.precision import exact_dtype
from mythos_blocks.tensors.rotation import turned
from mythos_blocks.tensors.rows import Index, check_index


@component("depth_signal", "rotary")
class Rotary(DepthSignal):
    """Rotates channel pairs of the state by ``t * theta ** (-2i / k)``: a rotary code of the loop index.

    Norms stay as they are, and every index has a rotation of its own. A port of OpenMythos reports it; see its issues.

    Args:
        width: Channels of the state.
        max_loops: Iterations that tables with a row for each have room for.
        num_channels: Channels that are rotated; even, at most the width. ``null`` takes ``width // 8`` rounded down to
            even, but at least 2.
        theta: Base of the geometric series of frequencies.

    Raises:
        ValueError: ``num_channels`` is odd or exceeds the width.
    """

    additive = False
    exact_buffers: tuple[str, ...] = ("frequencies",)
    frequencies: Tensor

    def __init__(
        self, width: int, max_loops: int, *, num_channels: Count | None = None, theta: Positive = 10_000.0
    ) -> None:
        super().__init__()
        channels = num_channels or max(2, width // 8 // 2 * 2)
        if channels % 2 or channels > width:
            raise ValueError(f"num_channels={channels} must be even and at most width={width}")
        self.channels = channels
        exponents = torch.arange(0, channels, 2, dtype=exact_dtype()) / channels
        self.register_buffer("frequencies", theta**-exponents, persistent=False)

    def forward(self, t: Index, positions: Tensor | None = None) -> None:
        return None

    def transform(self, h: Tensor, t: Index) -> Tensor:
        check_index(t)
        rotated = turned(h[..., : self.channels], t * self.frequencies)
        return torch.cat((rotated, h[..., self.channels :]), dim=-1)
