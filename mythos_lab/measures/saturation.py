"""The saturating law of a loss over loops, L(T) = L_inf + Z exp(-z T), where the data determine it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from mythos_lab.measures.student import interval
from mythos_lab.measures.tally import Interval, Tally

FEWEST_COUNTS = 4
"""Loop counts that tell three parameters from any curve."""

_GROUPS = 20  # of units, each left out once
_RATES = np.exp(np.linspace(np.log(1e-3), np.log(20.0), 200))
_MISFIT = 0.1  # of the losses' range
_LEAST_FALL = 1e-6  # nats; less is rounding

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Saturation:
    """What a curve of losses goes to, and how fast.

    Attributes:
        floor: L_inf, nats a token, with its 95 % interval.
        height: Z, nats a token.
        rate: z, for each loop.
        misfit: Root mean square of what the law leaves, nats a token.
    """

    floor: tuple[float, Interval]
    height: tuple[float, Interval]
    rate: tuple[float, Interval]
    misfit: float


def saturation(tallies: Sequence[tuple[int, Tally]]) -> Saturation | str:
    """The law that losses at several loop counts follow; or why they determine none.

    Least squares over the loop counts. All counts are of the same samples, so what scatters is the curve as a whole:
    intervals are Student's of the jackknife over groups of units, each of which is left out once (Quenouille 1956).

    Args:
        tallies: Loop counts, and what the same samples came to at each.
    """
    if len(tallies) < FEWEST_COUNTS:
        return f"three parameters want {FEWEST_COUNTS} loop counts or more; there: {len(tallies)}"
    counts = np.array([count for count, _ in tallies], dtype=float)
    losses = np.stack([tally.losses.numpy() for _, tally in tallies]).astype(float)  # (counts, units)
    totals = tallies[0][1].totals.numpy().astype(float)
    groups = min(_GROUPS, len(totals))
    if groups < 5:
        return f"{len(totals)} units do not show how they scatter; expected 5 or more"
    curve = losses.sum(1) / totals.sum()
    if not np.isfinite(curve).all():
        return "the loss is no number at some loop count"
    fall = float(np.ptp(curve))
    if fall < _LEAST_FALL:
        return "the loss does not change with the loops"
    falls = tallies[int(curve.argmin())][1].loss_gain(tallies[0][1])
    if falls is None or falls[0] <= 0:
        return "the loss does not surely fall as loops are added"
    (_, second), *later = tallies[1:]
    beyond = replace(second, losses=torch.stack([tally.losses for _, tally in later]).mean(0))
    falls = beyond.loss_gain(second)
    if falls is None or falls[0] <= 0:
        return f"the loss does not surely fall after {counts[1]:.0f} loops, and one step has no rate"
    whole = _fitted(counts, curve)
    misfit = float(np.sqrt(np.square(_law(counts, whole) - curve).mean()))
    if misfit > _MISFIT * fall:
        return f"the losses do not follow it: what it leaves is {misfit / fall:.1%} of their range"
    values = []
    for group in range(groups):
        kept = np.arange(len(totals)) % groups != group
        without = _fitted(counts, losses[:, kept].sum(1) / totals[kept].sum())
        values.append(groups * whole - (groups - 1) * without)
    low, high = np.array([interval(column) for column in np.array(values).T]).T
    # The rate is fitted by its logarithm, where its interval is even.
    rate, bounds = float(np.exp(whole[2])), (float(np.exp(low[2])), float(np.exp(high[2])))
    if bounds[0] <= 1.1 * _RATES[0] or bounds[1] >= 0.9 * _RATES[-1] or bounds[1] > 10 * bounds[0]:
        return f"the rate may be anything from {bounds[0]:.2g} to {bounds[1]:.2g} a loop"
    if whole[0] < -_MISFIT * fall:
        return f"it would go on to {whole[0]:.2g} nats, and no loss is below 0"
    return Saturation(
        (float(whole[0]), (float(low[0]), float(high[0]))),
        (float(whole[1]), (float(low[1]), float(high[1]))),
        (rate, bounds),
        misfit,
    )


def _law(counts: Array, fitted: Array) -> Array:
    out: Array = fitted[0] + fitted[1] * np.exp(-np.exp(fitted[2]) * counts)
    return out


def _fitted(counts: Array, losses: Array) -> Array:
    """L_inf, Z and ln z by least squares: of each rate the other two are known, so that one number is searched."""
    from scipy import optimize

    def left(log_rate: float) -> float:
        return float(_linear(counts, losses, np.array([log_rate]))[2][0])

    logs = np.log(_RATES)
    best = int(np.argmin(_linear(counts, losses, logs)[2]))
    around = logs[max(0, best - 1)], logs[min(len(logs) - 1, best + 1)]
    found = optimize.minimize_scalar(left, bounds=around, method="bounded", options={"xatol": 1e-8})
    floor, height, _ = _linear(counts, losses, np.array([found.x]))
    return np.array([floor[0], height[0], found.x])


def _linear(counts: Array, losses: Array, log_rates: Array) -> tuple[Array, Array, Array]:
    """L_inf, Z and the squares that are left, at each rate, ``(rates,)``."""
    decay = np.exp(-np.exp(log_rates)[:, None] * counts)
    centred = decay - decay.mean(1, keepdims=True)
    height = centred @ losses / np.maximum(np.square(centred).sum(1), 1e-300)
    floor = losses.mean() - height * decay.mean(1)
    left = np.square(floor[:, None] + height[:, None] * decay - losses).sum(1)
    return floor, height, left
