"""Rotations of channel pairs: by position, by iteration, by whatever has an angle."""

from __future__ import annotations

import torch
from torch import Tensor

from mythos_blocks.tensors.precision import at_least_float32, exact_dtype_of


def turned(x: Tensor, angles: Tensor, pairing: str = "interleaved") -> Tensor:
    """Channel pairs of ``x``, ``(..., d)``, each turned by its angle, ``(..., d / 2)``, in the dtype of ``x``.

    Pair i is of channels (2i, 2i + 1), or (i, i + d/2) where ``pairing`` is "halves". Computed in at least float32.
    """
    dtype, x = x.dtype, at_least_float32(x)
    angles = angles.to(x.dtype)
    cos, sin = angles.cos(), angles.sin()
    if pairing == "halves":
        first, second = x.chunk(2, dim=-1)
        return torch.cat((first * cos - second * sin, first * sin + second * cos), dim=-1).to(dtype)
    even, odd = x[..., 0::2], x[..., 1::2]
    pairs = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
    return pairs.flatten(-2).to(dtype)


def rotate(x: Tensor, positions: Tensor, theta: float, pairing: str = "interleaved") -> Tensor:
    """Rotate channel pairs by ``position * theta ** (-2i / d)`` (arXiv 2104.09864, eq. 34); see :func:`turned`.

    Shapes: x ``(batch, ..., positions, d)`` with d even, positions ``(positions,)`` or ``(batch, positions)``.
    Angles are computed in float32, since bfloat16 cannot tell neighbouring positions apart beyond 256, or in
    float64 for x in float64.
    """
    d, exact = x.shape[-1], exact_dtype_of(x)
    # Rounded as the published systems do it: at far positions, one bit of a frequency shows in the angle.
    frequencies = 1.0 / theta ** (torch.arange(0, d, 2, device=x.device, dtype=exact) / d)
    angles = positions.to(exact).unsqueeze(-1) * frequencies
    if positions.dim() == 2:
        angles = angles.view(positions.shape[0], *[1] * (x.dim() - 3), *angles.shape[1:])
    return turned(x, angles, pairing)
