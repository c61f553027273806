"""A bound on the norms of the core's matrices."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Positive
from mythos_blocks.stabilizer.base import Stabilizer


@component("stabilizer", "spectral_clip")
class SpectralClip(Stabilizer):
    """Scales every matrix of the core's layers down to a spectral norm of at most ``limit``, after every step.

    A projection, unlike spectral normalisation (arXiv 1802.05957): matrices below the limit are left alone. Norms are
    exact, by singular values; stacked matrices (experts) are bounded one by one.

    Args:
        limit: Largest spectral norm.
    """

    def __init__(self, *, limit: Positive = 1.0) -> None:
        self.limit = limit

    @torch.no_grad()
    def apply(self, layers: nn.Module) -> None:
        for parameter in layers.parameters():
            if parameter.dim() >= 2:
                parameter.mul_((self.limit / spectral_norms(parameter)).clamp_max(1)[..., None, None])


def spectral_norms(weight: Tensor) -> Tensor:
    """The largest singular value of each matrix ``(..., out, in)``: ``(...)``."""
    return torch.linalg.matrix_norm(weight.float(), ord=2).clamp_min(1e-12).to(weight.dtype)
