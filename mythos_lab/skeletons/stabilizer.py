"""A stabiliser: the core's matrices are kept small."""

from __future__ import annotations

import torch
from torch import nn

from mythos_blocks import Stabilizer, component
from mythos_blocks.declaring.types import Positive
from mythos_blocks.tensors.matrices import matrices


@component("stabilizer", "skeleton")
class Skeleton(Stabilizer):
    """Scales every matrix of the core's layers down to a Frobenius norm of at most ``limit``, after every step.

    Args:
        limit: Largest norm.
    """

    def __init__(self, *, limit: Positive = 4.0) -> None:
        self.limit = limit

    @torch.no_grad()
    def apply(self, layers: nn.Module) -> None:
        for _, _, matrix in matrices(layers):
            matrix.mul_((self.limit / matrix.norm()).clamp_max(1))
