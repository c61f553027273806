"""Which parameters are matrices: what multiplies a state, as against tables of rows and gains."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from mythos_blocks.tensors.precision import at_least_float32
from mythos_blocks.tensors.spectrum import spectral_bounds

_PER_TAP = 64
"""Frequencies at which the response of a convolution is taken, for each of its taps."""


def matrices(module: nn.Module) -> Iterator[tuple[str, nn.Module, nn.Parameter]]:
    """Name, owner and parameter of every matrix in a module: what multiplies a state, ``(..., out, in)``.

    Weights of linears and of convolutions over positions, and what components name in ``matrices`` (experts). Not the
    tables with a row for each iteration, token or channel, of whatever shape: a norm's gains are no matrix.
    """
    for name, part in module.named_modules():
        own = ("weight",) if isinstance(part, nn.Linear | nn.Conv1d) else getattr(part, "matrices", ())
        for field in own:
            parameter = getattr(part, field)
            if isinstance(parameter, nn.Parameter):
                yield f"{name}.{field}" if name else field, part, parameter


def operator_bounds(owner: nn.Module, parameter: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds from below and above on the norm of what a matrix does to states: ``(...)`` for ``(..., out, in)``.

    A convolution over positions is one operator, whose norm is the largest of its frequency response: one number.
    """
    if not isinstance(owner, nn.Conv1d):
        return spectral_bounds(parameter)
    taps = at_least_float32(parameter).unflatten(0, (owner.groups, -1))  # (groups, out, in, taps)
    num = _PER_TAP * taps.shape[-1]
    response = torch.fft.rfft(taps, num).movedim(-1, 0)
    norms = response.abs() if response.shape[-2:] == (1, 1) else torch.linalg.matrix_norm(response, ord=2)
    low = norms.amax()
    # Between two frequencies a polynomial of this degree rises no further (Ehlich and Zeller, 1964).
    return low, low / math.cos(math.pi * (taps.shape[-1] - 1) / num) ** 0.5
