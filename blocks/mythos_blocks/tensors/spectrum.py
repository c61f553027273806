"""Largest singular values, between bounds that hold, without a decomposition."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize, pad

from mythos_blocks.tensors.precision import at_least_float32
from mythos_blocks.tensors.randomness import keyed_generator

_SMALL = 256
"""Up to so many rows or columns the eigenvalues of ``W^T W`` are as cheap."""
_SLACK = 1e-2
"""How far the upper bound may be above the lower one, as a share of it."""
_MISS = 1e-4
"""Probability that a random start is so nearly orthogonal to the first singular vector that the upper bound fails."""
_FIRST = 8
"""The Lanczos step after which the bounds are looked at first; then after a quarter more each time."""


@torch.no_grad()
def spectral_bounds(weight: Tensor) -> tuple[Tensor, Tensor]:
    """The largest singular value of each matrix ``(..., out, in)``, from below and from above: ``(...)`` each.

    Lanczos steps on ``W^T W`` from a fixed random vector. The lower bound is the largest Ritz value. The upper one is
    where the polynomial that the steps have built would have made any direction visible that the start is not
    orthogonal to (van Dorsselaer, Hochstenbach and van der Vorst, SIAM J. Matrix Anal. Appl. 22, 2000): it fails with a
    probability of 1e-4 whatever the spectrum. The two are at most 1 % apart, unless 1 % takes more steps than there are
    columns. The same matrix gives the same bounds. Of small matrices they are equal, by eigenvalues. NaN where a matrix
    is not finite.

    Shapes: at least float32, whatever the weight's dtype.
    """
    weight = at_least_float32(weight)
    # Against overflow; one pass each, where a norm of infinite order takes ten times as long.
    scale = torch.maximum(weight.amax((-2, -1), keepdim=True), -weight.amin((-2, -1), keepdim=True))
    if weight.shape[-2] < weight.shape[-1]:
        weight = weight.mT
    weight = weight / scale.clamp_min(torch.finfo(weight.dtype).tiny)
    if weight.shape[-1] <= _SMALL:
        gram = weight.mT @ weight
        finite = gram.isfinite().all(-1).all(-1)
        norm = torch.linalg.eigvalsh(gram.where(finite[..., None, None], 0))[..., -1].clamp_min(0).sqrt()
        low = high = norm.where(finite, torch.nan)
    else:
        stack = weight.flatten(0, -3) if weight.dim() > 2 else weight[None]
        low, high = (bound.view(weight.shape[:-2]) for bound in _lanczos(stack))
    return low * scale[..., 0, 0], high * scale[..., 0, 0]


def _lanczos(weight: Tensor) -> tuple[Tensor, Tensor]:
    """The bounds for ``(matrices, out, in)`` with no more columns than rows: ``(matrices,)`` each."""
    count, _, size = weight.shape
    wide = torch.float32 if weight.device.type == "mps" else torch.float64  # vectors stay orthogonal to the last bit
    q = torch.randn(size, 1, generator=keyed_generator(0, "spectrum", size), dtype=torch.float64)
    q = normalize(q, dim=0).to(weight.device, wide).expand(count, -1, -1)
    basis, diagonal, off = q.new_zeros(count, size, 32), [], []
    look = _FIRST
    for step in range(1, size + 1):
        if step > basis.shape[2]:
            basis = pad(basis, (0, 32))
        basis[..., step - 1 : step] = q
        w = (weight.mT @ (weight @ q.to(weight.dtype))).to(wide)
        diagonal.append((q * w).sum((1, 2)))
        w = w - basis @ (basis.mT @ w)
        w = w - basis @ (basis.mT @ w)
        length = w.norm(dim=(1, 2))
        # What is left may be rounding alone: then the start reaches no further, and the Ritz values are exact.
        off.append(length.where(length > 1e3 * torch.finfo(wide).eps * diagonal[0], 0))
        if step in (look, size):
            look += max(2, step // 4)
            low, high = _bounds(torch.stack(diagonal, -1), torch.stack(off, -1), size)
            if step == size or not bool((high > low * (1 + _SLACK)).any()):
                break
        q = normalize(w, dim=1) * (off[-1] > 0)[:, None, None]
    return low.to(weight), high.to(weight)


def _bounds(diagonal: Tensor, off: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """From the Lanczos matrices' diagonals and off-diagonals, ``(matrices, steps)``: ``(matrices,)`` float64."""
    diagonal, off = diagonal.double().cpu(), off.double().cpu()
    finite = diagonal.isfinite().all(-1) & off.isfinite().all(-1)
    diagonal, off = diagonal.where(finite[:, None], 0), off.where(finite[:, None], 0)
    steps = diagonal.shape[-1]
    ritz = torch.linalg.eigvalsh(torch.diag_embed(diagonal) + torch.diag_embed(off[:, :-1], -1))
    low = ritz[:, -1].clamp_min(0)
    if steps < size:
        # The polynomial with the Ritz values as roots, over the product of the off-diagonals, has norm 1 on the start:
        # where it exceeds 1 over the start's least likely component, nothing can be.
        visible = off.clamp_min(1e-300).log().sum(-1) - math.log(_MISS / math.sqrt(2 * size / math.pi))
        below, above = low, 4 * low + 1e-300
        for _ in range(20):
            middle = (below + above) / 2
            inside = (middle[:, None] - ritz).clamp_min(1e-300).log().sum(-1) < visible
            below, above = middle.where(inside, below), above.where(inside, middle)
        high = above
    else:
        high = low
    return tuple(bound.sqrt().where(finite, torch.nan) for bound in (low, high))
