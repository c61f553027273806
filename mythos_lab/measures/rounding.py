"""Rounding by rows: how weights and states are quantised to be measured."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def rounded_rows(x: Tensor, largest: float, nearest: Callable[[Tensor], Tensor] = torch.round) -> Tensor:
    """``x`` with its last axis on the grid of a format, whose largest number its largest absolute entry becomes.

    Args:
        x: ``(..., entries)``; computed in float32 and given back in its own dtype.
        largest: The format's largest number.
        nearest: What brings a number to the nearest of the format.
    """
    step = x.float().abs().amax(-1, keepdim=True).clamp_min(1e-30) / largest
    return (nearest(x.float() / step) * step).to(x.dtype)
