"""Eigenvalues of linear maps that are known by their products alone, many maps at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

Product = Callable[[Tensor], Tensor]
"""From vectors, ``(maps, size)``, to what each map makes of its own, of the same shape."""


def largest_eigenvalue(product: Product, start: Tensor, num_products: int) -> Tensor:
    """The largest absolute eigenvalue of each map, by Arnoldi's method (Arnoldi 1951): power iteration that keeps its
    vectors, so that complex pairs and close eigenvalues are told apart too.

    Args:
        product: The maps.
        start: Where to begin, ``(maps, size)``.
        num_products: Products with each map, at most; as many as the size are exact.

    Returns:
        ``(maps,)``; no number where a product was none.
    """
    num_maps, size = start.shape
    steps = min(num_products, size)
    basis = [_normalised(start)]
    hessenberg = start.new_zeros(num_maps, steps, steps, dtype=torch.float64)
    for j in range(steps):
        w = product(basis[-1])
        for _ in range(2):  # once is not enough in float32
            for i, v in enumerate(basis):
                share = (v * w).sum(1)
                hessenberg[:, i, j] += share
                w = w - share[:, None] * v
        left = w.norm(dim=1)
        if j + 1 < steps:
            # A space that the map does not leave has been found: what is left is rounding.
            left = left.where(left > 1e-5 * hessenberg[:, : j + 1, j].norm(dim=1), 0)
            hessenberg[:, j + 1, j] = left
            basis.append(_normalised(w) * (left > 0)[:, None])
    known = hessenberg.isfinite().flatten(1).all(1).cpu()  # which LAPACK would not take
    values: Tensor = torch.linalg.eigvals(hessenberg.cpu().where(known[:, None, None], 0)).abs().amax(1)
    return values.where(known, torch.nan)


def lyapunov_exponents(products: Iterable[Product], start: Tensor) -> Tensor:
    """The largest Lyapunov exponents of trajectories, in nats a step, by QR (Benettin et al. 1980).

    ``Q_t R_t = J_t Q_{t-1}``, and exponent i is the mean of ``ln |R_t[i, i]|`` over the steps t.

    Args:
        products: ``V -> J_t V`` for each step in order, of ``(trajectories, size, k)``.
        start: ``(trajectories, size, k)``; k exponents are found.

    Returns:
        ``(trajectories, k)``, largest first.
    """
    q = torch.linalg.qr(start)[0]
    total, num_steps = start.new_zeros(start.shape[0], start.shape[2], dtype=torch.float64), 0
    for product in products:
        q, r = torch.linalg.qr(product(q))
        total += torch.diagonal(r, dim1=1, dim2=2).abs().clamp_min(1e-30).log()
        num_steps += 1
    exponents: Tensor = (total / num_steps).sort(1, descending=True).values
    return exponents


def _normalised(v: Tensor) -> Tensor:
    return v / v.norm(dim=1, keepdim=True).clamp_min(1e-30)
