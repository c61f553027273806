"""The joint fit of a sweep, with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mythos_lab.comparison.worth.cells import Cell, mean_noise
from mythos_lab.comparison.worth.law import BETA, PARAMETERS, PHI, Array, B, E, Law, natural
from mythos_lab.comparison.worth.profile import profile_intervals
from mythos_lab.comparison.worth.solver import minimise

DELTA = 1e-3
"""The Huber loss's customary threshold in fits of scaling laws (Hoffmann et al. 2022, arXiv 2203.15556)."""

_EFFICIENT = 1.345  # standard deviations: 95 % of the efficiency of least squares where noise is normal (Huber 1964)
_PHIS, _EXPONENTS = (-0.5, 0.0, 0.5, 1.0), (0.1, 0.25, 0.5, 1.0, 2.0)
_NUM_STARTS = 8
_MAX_RESTARTS = 5


@dataclass(frozen=True)
class Estimate:
    """A fitted number with its 95 % interval.

    An end that the data leave open is the least or largest value that can be: 0 or infinite, for phi minus infinite.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Fit:
    """The law that fits a sweep best.

    Attributes:
        cells: What it was fitted to.
        parameters: Estimates of what the sweep varies, by name; the others are missing.
        at_bound: Names of the parameters that stand at the end of the range in which they are sought.
        predicted: The law's loss in each cell.
        delta: The threshold of the Huber loss, in log loss.
        freedom: Cells less fitted parameters.
        scatter: Standard deviation of the cells' log residuals, with that freedom; ``nan`` without any.
    """

    cells: tuple[Cell, ...]
    parameters: dict[str, Estimate]
    at_bound: tuple[str, ...]
    predicted: tuple[float, ...]
    delta: float
    freedom: int
    scatter: float

    @property
    def phi(self) -> Estimate | None:
        """What a loop count's logarithm is worth in unique parameters: 0 nothing, 1 as much as layers of their own."""
        return self.parameters.get("phi")

    def equivalent(self, cell: Cell) -> Estimate:
        """Parameters of the stack without a loop that is as good on as much data: ``N_once + r^phi N_rec``.

        Raises:
            ValueError: The sweep has one loop count and tells nothing of phi.
        """
        if self.phi is None:
            raise ValueError("phi is not fitted: the sweep has one loop count")

        def worth(phi: float) -> float:
            return cell.num_once + cell.num_rec * (cell.loops**phi if cell.loops > 1 else 1.0)

        return Estimate(worth(self.phi.value), worth(self.phi.low), worth(self.phi.high))


def fit_law(
    cells: Sequence[Cell], delta: float | None = None, intervals: Sequence[str] = PARAMETERS, confidence: float = 0.95
) -> Fit:
    """Fit the law to the cells' mean log losses.

    Each cell counts once, whatever its seeds: what the law misses is common to them. The fit starts from a grid of
    exponents, for each of which E, A and B follow by non-negative least squares, and the best of these are refined.

    Args:
        cells: What was measured.
        delta: The Huber loss's threshold in log loss. ``None`` takes :data:`DELTA`, or 1.345 standard deviations of a
            cell's mean by its seeds where that is more: far below the noise, the Huber loss is the absolute value,
            whose intervals are a quarter wider (``benchmarks/worth_intervals.py``).
        intervals: Parameters whose intervals are wanted; the others' are left open.
        confidence: Of the intervals.

    Raises:
        ValueError: Fewer than two cells, or a loss that is not positive.
    """
    if len(cells) < 2:
        raise ValueError(f"{len(cells)} cell{'s' * (len(cells) != 1)}: at least two are needed")
    if any(not loss > 0 for cell in cells for loss in cell.losses.values()):
        raise ValueError("a loss is not above 0, and the law is fitted to logarithms")
    law = Law.of(cells)
    targets = np.array([cell.log_loss for cell in cells])
    if delta is None:
        noise = mean_noise(cells)
        delta = DELTA if math.isnan(noise) else max(DELTA, _EFFICIENT * noise)
    found, losses = minimise(law, targets, _starts(law, targets), law.free, delta)
    best, loss = found[losses.argmin()], float(losses.min())
    freedom = len(cells) - int(law.free.sum())
    wanted = [PARAMETERS.index(name) for name in intervals if law.free[PARAMETERS.index(name)]]
    for _ in range(_MAX_RESTARTS):
        ends, better = profile_intervals(law, targets, best, loss, delta, freedom, wanted, confidence)
        if better is None:
            break
        found, losses = minimise(law, targets, better[None], law.free, delta)
        best, loss = found[0], float(losses[0])
    residuals = law.log_loss(best[None])[0] - targets
    inside = (law.low < best) & (best < law.high)
    return Fit(
        cells=tuple(cells),
        parameters=_estimates(law, best, ends),
        at_bound=tuple(name for name, free, ok in zip(PARAMETERS, law.free, inside, strict=True) if free and not ok),
        predicted=tuple(np.exp(targets + residuals).tolist()),
        delta=delta,
        freedom=freedom,
        scatter=math.sqrt(float((residuals**2).sum()) / freedom) if freedom > 0 else math.nan,
    )


def _estimates(law: Law, best: Array, ends: Mapping[int, tuple[float | None, float | None]]) -> dict[str, Estimate]:
    """What is fitted, by name, in its natural unit."""
    values = natural(best)
    found = {}
    for index, name in enumerate(PARAMETERS):
        if law.free[index]:
            low, high = ends.get(index, (None, None))
            if index >= E:
                low, high = (None if end is None else math.exp(end) for end in (low, high))
            least = -math.inf if index == PHI else 0.0
            found[name] = Estimate(values[name], least if low is None else low, math.inf if high is None else high)
    return found


def _starts(law: Law, targets: Array) -> Array:
    """The best points of a grid of exponents, ``(starts, 6)``."""
    from scipy.optimize import nnls

    losses = np.exp(targets)
    found: list[tuple[float, list[float]]] = []
    for phi in _PHIS if law.free[PHI] else (0.0,):
        log_size = np.log(law.effective(phi))
        for alpha in _EXPONENTS:
            for beta in _EXPONENTS if law.free[BETA] else (0.0,):
                # Terms are scaled to 1 at their mean size, so that one floor serves all coefficients.
                scales = [0.0, alpha * log_size.mean(), beta * law.log_tokens.mean()]
                terms = [np.ones_like(losses), np.exp(scales[1] - alpha * log_size)]
                if law.free[B]:
                    terms.append(np.exp(scales[2] - beta * law.log_tokens))
                weights, miss = nnls(np.stack(terms, -1) / losses[:, None], np.ones_like(losses))
                logs = np.log(np.maximum(weights, 1e-2 * losses.min())) + scales[: len(terms)]
                found.append((float(miss), [phi, alpha, beta, *logs, *[0.0] * (3 - len(terms))]))
    found.sort(key=lambda item: item[0])
    return np.array([theta for _, theta in found[:_NUM_STARTS]])
