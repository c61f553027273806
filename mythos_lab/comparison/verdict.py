"""What paired seeds say of a difference, and what they cannot say.

Arms are compared seed by seed: with equal seeds they share data order and initial weights, so most of the noise is
common to both and falls out of the difference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np

from mythos_lab.measures import student

Outcome = Literal["higher", "lower", "negligible", "no effect", "not enough seeds"]

ALPHA = 0.05
_POWER = 0.8
_QUANTILES = 2000
FEWEST_WITHOUT_EFFECT = 5
"""Seeds: of three, accuracies that move in steps exclude what is there in one study of five."""

_ROUNDING = 1e-9  # of the values: differences that are nearer to each other are equal


@dataclass(frozen=True)
class Verdict:
    """A difference over seeds.

    Attributes:
        num_seeds: Pairs.
        difference: Mean of b - a.
        error: Its standard error.
        low: Lower end of Student's interval of the mean difference, at ``level``.
        high: Upper end.
        level: The interval's level: 95 % of a verdict that stands alone. Of one among several it is the level at which
            Holm's method tests it, so that the interval excludes zero where the adjusted p-value is below 5 %, and
            nowhere else. That holds for each interval; that all of them hold the truth at once is not said.
        p: Two-sided p-value of the test.
        p_adjusted: The same after Holm's correction over all verdicts that are read together.
        detectable: The true difference that a test with so many seeds, among so many verdicts, finds in four of five
            cases, if the scatter is that of these seeds; infinite where no scatter was seen to go by.
        outcome: ``higher`` or ``lower`` where the adjusted p-value is below .05, ``negligible`` where moreover the
            interval excludes every difference that matters; ``no effect`` where it does and the p-value is not, with
            five seeds at least; ``not enough seeds`` otherwise.
        test: The test's name.
    """

    num_seeds: int
    difference: float
    error: float
    low: float
    high: float
    level: float
    p: float
    p_adjusted: float
    detectable: float
    outcome: Outcome
    test: str

    @property
    def interval(self) -> str:
        """The interval and its level, as they are shown."""
        return f"{self.low:+.3g} to {self.high:+.3g} ({self.shown_level})"

    @property
    def shown_level(self) -> str:
        """The interval's level in per cent."""
        return f"{100 * self.level:.4g} %"


def paired(a: Sequence[float], b: Sequence[float], matters: float, ties_tell: bool = True) -> Verdict:
    """Compare two arms, seed by seed.

    The test is the paired t-test, exact for normal differences at any number of seeds, and the interval is what the
    same test does not exclude. The sign-flip permutation test assumes less, but with n seeds its p-value cannot be
    below 2 / 2^n, which is then multiplied by the number of verdicts, and it says nothing of an interval.

    Args:
        a: Values of the one arm, by seed.
        b: Values of the other, in the same order.
        matters: The smallest difference that matters, in the metric's unit.
        ties_tell: Whether differences that are the same in every seed say that there is no scatter. Shares of few
            answers come out the same by chance, and then say nothing of it.

    Raises:
        ValueError: The arms have different numbers of seeds, or none, or a value is not finite.
    """
    if len(a) != len(b) or not len(a):
        raise ValueError(f"paired seeds are needed: one arm has {len(a)}, the other {len(b)}")
    values = np.asarray([a, b], dtype=float)
    if not np.isfinite(values).all():
        raise ValueError(f"finite values are needed, found {values[~np.isfinite(values)][0]}")
    differences = values[1] - values[0]
    n, mean = len(differences), float(differences.mean())
    tied = bool(np.ptp(differences) <= _ROUNDING * np.abs(values).max())
    if n < 2 or (tied and not ties_tell):
        return Verdict(
            n, mean, math.inf, -math.inf, math.inf, 1 - ALPHA, 1.0, 1.0, math.inf, "not enough seeds", "none"
        )
    if tied:
        # Equal to the last digit in every seed: what is deterministic needs no test, and the t-test divides by zero.
        mean, error = mean if abs(mean) > _ROUNDING * np.abs(values).max() else 0.0, 0.0
        p, test = (0.0, "equal in every seed") if mean else (1.0, "paired t")
    else:
        error = float(differences.std(ddof=1)) / math.sqrt(n)
        p, test = student.p_value(mean, error, n - 1), "paired t"
    low, high = student.around(mean, error, n - 1, 1 - ALPHA)
    found = Verdict(n, mean, error, low, high, 1 - ALPHA, p, p, _detectable(error, n, ALPHA), "no effect", test)
    return _judged(found, matters)


def together(verdicts: Sequence[Verdict], matters: float, family: int | None = None) -> list[Verdict]:
    """The same verdicts with Holm's correction (1979): the chance of any false one among them stays below 5 %.

    Each interval gets the level at which Holm's method tests its difference: ``1 - 0.05 / (family - rank)`` for those
    that pass, by rank of their p-values, and that of the first which does not pass for it and all after it.

    Args:
        verdicts: Verdicts that are read together.
        matters: The smallest difference that matters.
        family: How many there were to be, those included that came to nothing; as many as there are without.
    """
    family, worst, tests = max(family or 0, len(verdicts)), 0.0, 0
    found: dict[int, Verdict] = {}
    for rank, index in enumerate(np.argsort([verdict.p for verdict in verdicts])):
        if worst < ALPHA:
            tests = family - rank
        verdict = verdicts[index]
        worst = max(worst, min(1.0, (family - rank) * verdict.p))
        level = 1 - ALPHA / tests
        low, high = verdict.low, verdict.high
        if math.isfinite(verdict.error):
            low, high = student.around(verdict.difference, verdict.error, verdict.num_seeds - 1, level)
        detectable = _detectable(verdict.error, verdict.num_seeds, ALPHA / family)
        adjusted = replace(verdict, p_adjusted=worst, low=low, high=high, level=level, detectable=detectable)
        found[int(index)] = _judged(adjusted, matters)
    return [found[index] for index in range(len(verdicts))]


def half_width(values: Sequence[float]) -> float:
    """Half the width of Student's 95 % interval of a mean over at least two seeds."""
    if len(set(values)) == 1:
        return 0.0  # their mean may be rounded to another number
    low, high = student.interval(values)
    return (high - low) / 2


def shown_mean(values: Sequence[float], in_full: bool = True) -> str:
    """A mean over seeds as it is shown: with half its 95 % interval where there are several.

    Args:
        values: One a seed.
        in_full: Write a large whole number with all its digits; a column has them all so, or none.
    """
    value = float(np.mean(values))
    mean = f"{value:,.0f}" if in_full and value.is_integer() and abs(value) >= 1000 else f"{value:.4g}"
    return mean if len(values) < 2 else f"{mean} ± {half_width(values):.2g}"


def _judged(verdict: Verdict, matters: float) -> Verdict:
    excluded = -matters < verdict.low and verdict.high < matters
    is_told = verdict.num_seeds >= FEWEST_WITHOUT_EFFECT or (verdict.error == 0 and verdict.difference == 0)
    outcome: Outcome = "not enough seeds"
    if verdict.p_adjusted < ALPHA:
        outcome = "negligible" if excluded else "higher" if verdict.difference > 0 else "lower"
    elif excluded and is_told:
        outcome = "no effect"
    return replace(verdict, outcome=outcome)


def _detectable(error: float, n: int, alpha: float) -> float:
    """The true difference at which a two-sided t-test at ``alpha`` has a power of 80 %.

    With several verdicts ``alpha`` is 5 % over their number: what the first of them has to pass by Holm's method.
    """
    return error if error == 0 or math.isinf(error) else _errors_detectable(n, alpha) * error


@lru_cache(maxsize=256)
def _errors_detectable(n: int, alpha: float) -> float:
    """The same in standard errors.

    The power is that of the noncentral t distribution, as a mean of normal probabilities over the quantiles of the
    sample's scatter: scipy's ``nct`` is not a number in its tails for two seeds.
    """
    from scipy import optimize, special, stats

    limit = float(stats.t.ppf(1 - alpha / 2, n - 1))
    scatter = np.sqrt(stats.chi2.ppf((np.arange(_QUANTILES) + 0.5) / _QUANTILES, n - 1) / (n - 1))

    def power(shift: float) -> float:
        missed = special.ndtr(limit * scatter - shift) - special.ndtr(-limit * scatter - shift)
        return 1.0 - float(missed.mean())

    far = limit
    while power(far) < _POWER:
        far *= 1.5
    return float(optimize.brentq(lambda shift: power(shift) - _POWER, 0.0, far))
