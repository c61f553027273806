"""Rotary position embedding."""

from __future__ import annotations

import torch
from torch import Tensor


def rotate(x: Tensor, positions: Tensor, theta: float, pairing: str = "interleaved") -> Tensor:
    """Rotate channel pairs by ``position * theta ** (-2i / d)`` (arXiv 2104.09864, eq. 34).

    Pair i is of channels (2i, 2i + 1), or (i, i + d/2) where ``pairing`` is "halves".

    Shapes: x ``(batch, ..., positions, d)`` with d even, positions ``(positions,)`` or ``(batch, positions)``.
    Angles are computed in float32, since bfloat16 cannot tell neighbouring positions apart beyond 256.
    """
    d = x.shape[-1]
    frequencies = theta ** (-torch.arange(0, d, 2, device=x.device, dtype=torch.float32) / d)
    angles = positions.to(torch.float32).unsqueeze(-1) * frequencies
    if positions.dim() == 2:
        angles = angles.view(positions.shape[0], *[1] * (x.dim() - 3), *angles.shape[1:])
    cos, sin = angles.cos(), angles.sin()
    if pairing == "halves":
        first, second = x.float().chunk(2, dim=-1)
        return torch.cat((first * cos - second * sin, first * sin + second * cos), dim=-1).to(x.dtype)
    even, odd = x[..., 0::2].float(), x[..., 1::2].float()
    rotated = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
    return rotated.flatten(-2).to(x.dtype)
