"""Many small robust regressions at once.

scipy's optimisers solve one problem a call. A fit with its intervals takes several hundred of six unknowns each, and
the test of the intervals' coverage a hundred thousand: stacked, they take a fiftieth of the time. That both find the
same minimum is tested.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mythos_lab.comparison.worth.law import Array, Law

_MAX_STEPS = 200
_QUIET = 1e-10  # relative gain of a step that is none; two in a row end a problem
_MOST_DAMPED = 1e8


def huber(residuals: Array, delta: float) -> Array:
    """Sum of Huber losses over the last axis: half the square up to ``delta``, a line beyond."""
    size = np.abs(residuals)
    each: Array = np.where(size <= delta, 0.5 * size**2, delta * (size - 0.5 * delta))
    total: Array = each.sum(-1)
    return total


def minimise(law: Law, targets: Array, start: Array, free: NDArray[np.bool_], delta: float) -> tuple[Array, Array]:
    """Local minima of the Huber loss of log residuals, by Levenberg and Marquardt's method with reweighted squares.

    Bounds are kept by leaving a parameter out of a step that would push it through.

    Args:
        law: The law at the sweep's cells.
        targets: Mean log losses, ``(cells,)`` or ``(problems, cells)``.
        start: Where each problem starts, ``(problems, 6)``.
        free: Which parameters move, ``(6,)`` or ``(problems, 6)``.
        delta: Where the Huber loss becomes linear.

    Returns:
        Minima ``(problems, 6)`` and their losses ``(problems,)``.
    """
    theta = np.clip(start, law.low, law.high)
    num, width = theta.shape
    targets = np.broadcast_to(targets, (num, len(law.once)))
    held = ~np.broadcast_to(free, theta.shape)
    theta = np.where(held, start, theta)
    predicted, slopes = law.linearised(theta)
    residuals = predicted - targets
    losses = huber(residuals, delta)
    damping, quiet = np.full(num, 1e-3), np.zeros(num, dtype=int)
    going = np.arange(num)
    identity = np.eye(width)
    for _ in range(_MAX_STEPS):
        if not len(going):
            break
        r, j = residuals[going], slopes[going]
        weighted = j * np.minimum(1.0, delta / np.maximum(np.abs(r), 1e-300))[..., None]
        gradient = np.einsum("kni,kn->ki", weighted, r)
        curvature = np.einsum("kni,knj->kij", weighted, j)
        here = theta[going]
        still = held[going] | ((here <= law.low) & (gradient > 0)) | ((here >= law.high) & (gradient < 0))
        gradient = np.where(still, 0.0, gradient)
        curvature = np.where(still[:, :, None] | still[:, None, :], 0.0, curvature)
        diagonal = np.einsum("kii->ki", curvature)
        added = damping[going, None] * np.maximum(diagonal, 1e-12) + still
        step = -np.linalg.solve(curvature + added[:, :, None] * identity, gradient[..., None])[..., 0]
        there = np.where(held[going], here, np.clip(here + step, law.low, law.high))
        predicted, j = law.linearised(there)
        r = predicted - targets[going]
        new = huber(r, delta)
        old = losses[going]
        better = new < old
        moved = going[better]
        theta[moved], residuals[moved], slopes[moved], losses[moved] = there[better], r[better], j[better], new[better]
        damping[going] = np.where(better, np.maximum(damping[going] / 5, 1e-9), damping[going] * 4)
        gained = better & (old - new > _QUIET * old)
        quiet[going] = np.where(gained, 0, quiet[going] + better)
        going = going[(quiet[going] < 2) & (damping[going] < _MOST_DAMPED)]
    return theta, losses
