"""The scaling law whose exponent says what a recurrence is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mythos_lab.comparison.worth.cells import Cell

PARAMETERS = ("phi", "alpha", "beta", "E", "A", "B")
PHI, ALPHA, BETA, E, A, B = range(6)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Law:
    """``L = E + A (N_once + r^phi N_rec)^-alpha + B D^-beta`` at the cells of one sweep (arXiv 2604.21106).

    Parameter vectors are ``(6,)`` in the order of :data:`PARAMETERS`, with the logarithms of E, A and B. Vectors of
    many problems are stacked, ``(problems, 6)``, and solved at once.

    Attributes:
        once: Parameters used once, ``(cells,)``.
        rec: Parameters of the looped core.
        log_loops: Logarithm of the loop count.
        log_tokens: Logarithm of the training tokens.
        low: Lower bounds of the parameters, ``(6,)``.
        high: Upper bounds.
        free: Whether the sweep varies what the parameter acts on. Without two loop counts phi is held at 0, and without
            two token budgets the data term is left out: E then stands for both.
    """

    once: Array
    rec: Array
    log_loops: Array
    log_tokens: Array
    low: Array
    high: Array
    free: NDArray[np.bool_]

    @classmethod
    def of(cls, cells: Sequence[Cell]) -> Law:
        """The law at some cells."""
        least = min(float(np.exp(cell.log_loss)) for cell in cells)
        free = np.ones(6, dtype=bool)
        free[PHI] = len({cell.loops for cell in cells}) > 1
        free[[BETA, B]] = len({cell.tokens for cell in cells}) > 1
        return cls(
            once=np.array([cell.num_once for cell in cells], dtype=float),
            rec=np.array([cell.num_rec for cell in cells], dtype=float),
            log_loops=np.log([cell.loops for cell in cells]),
            log_tokens=np.log([cell.tokens for cell in cells]),
            # E below a thousandth of the least loss is none; the others go well past every published fit.
            low=np.array([-2.0, 0.01, 0.01, np.log(1e-3 * least), -40.0, -40.0]),
            high=np.array([3.0, 4.0, 4.0, np.log(least) + 1.0, 120.0, 120.0]),
            free=free,
        )

    def effective(self, phi: float) -> Array:
        """``N_once + r^phi N_rec`` of each cell, ``(cells,)``."""
        size: Array = self.once + self.rec * np.exp(phi * self.log_loops)
        return size

    def log_loss(self, theta: Array) -> Array:
        """Logarithm of the predicted loss: ``(problems, 6) -> (problems, cells)``."""
        return self.linearised(theta)[0]

    def linearised(self, theta: Array) -> tuple[Array, Array]:
        """Logarithm of the predicted loss and its derivatives: ``(problems, cells)``, ``(problems, cells, 6)``."""
        phi, alpha, beta, e, a, b = (theta[:, [i]] for i in range(6))
        looped = self.rec * np.exp(phi * self.log_loops)
        size = self.once + looped
        log_size = np.log(size)
        floor = np.exp(e) + 0 * log_size
        capacity = np.exp(a - alpha * log_size)
        data = np.exp(b - beta * self.log_tokens) if self.free[B] else 0 * log_size
        loss = floor + capacity + data
        slopes = np.stack(
            [
                -alpha * capacity * looped / size * self.log_loops,
                -log_size * capacity,
                -self.log_tokens * data,
                floor,
                capacity,
                data,
            ],
            axis=-1,
        )
        return np.log(loss), slopes / loss[..., None]


def natural(theta: Array) -> dict[str, Any]:
    """The law's parameters by name, E, A and B themselves: ``(6,) -> {name: value}``."""
    values = np.concatenate([theta[:E], np.exp(theta[E:])])
    return dict(zip(PARAMETERS, values.tolist(), strict=True))
