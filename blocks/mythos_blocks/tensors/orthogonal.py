"""Random orthogonal matrices."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def orthogonal_(weight: Tensor, gain: float, generator: torch.Generator) -> None:
    """Fill the matrices ``(..., rows, columns)`` in place with orthonormal rows or columns, whichever are fewer.

    Args:
        weight: The matrices.
        gain: Factor on them: their singular values.
        generator: What they are drawn with.
    """
    for matrix in weight.flatten(0, -3) if weight.dim() > 2 else [weight]:
        # QR decompositions need at least single precision.
        drawn = torch.empty(matrix.shape, dtype=torch.promote_types(weight.dtype, torch.float32), device=weight.device)
        matrix.copy_(nn.init.orthogonal_(drawn, gain=gain, generator=generator))
