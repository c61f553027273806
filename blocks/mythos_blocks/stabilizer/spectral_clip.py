"""A bound on the norms of the core's matrices."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Positive
from mythos_blocks.stabilizer.base import Stabilizer
from mythos_blocks.tensors.matrices import matrices, operator_bounds

_ABOVE = 1e-3
"""How far above the limit a norm may stay, as a share of it."""
_PASSES = 8
"""A weight in half precision is rounded where it is put, and may have to be scaled again."""


@component("stabilizer", "spectral_clip")
class SpectralClip(Stabilizer):
    """Scales every matrix of the core's layers down to a spectral norm of at most ``limit``, after every step.

    A projection, unlike spectral normalisation (arXiv 1802.05957): matrices below the limit are left alone. A matrix is
    what multiplies a state: weights of linears, of convolutions over positions (by their frequency response), and
    experts, each on its own; tables with a row for each iteration or token are none. Norms are upper bounds, no more
    than 1 % above the true ones and equal to them up to 256 channels; the weights obey the limit to one in a thousand.

    Args:
        limit: Largest spectral norm.
    """

    def __init__(self, *, limit: Positive = 1.0) -> None:
        self.limit = limit

    @torch.no_grad()
    def apply(self, layers: nn.Module) -> None:
        for _, owner, parameter in matrices(layers):
            rounding = torch.finfo(parameter.dtype).eps
            for again in range(_PASSES):
                _, norms = operator_bounds(owner, parameter)
                over = norms > self.limit * (1 + _ABOVE / 2)
                if not bool(over.any()):
                    break
                factor = (self.limit / norms * (1 - again * rounding)).where(over, 1)
                parameter.copy_(parameter.to(factor.dtype) * _beside(factor, parameter))
                if rounding < _ABOVE / 16:
                    break


def _beside(factor: Tensor, parameter: Tensor) -> Tensor:
    """One factor for each matrix, ``(...)``, shaped so that it multiplies them."""
    return factor.view(*factor.shape, *[1] * (parameter.dim() - factor.dim()))
