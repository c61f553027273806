"""Two one-sided tests: whether paired seeds show that one arm is as good as another, or that it is not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mythos_lab.comparison.verdict import ALPHA, FEWEST_WITHOUT_EFFECT
from mythos_lab.measures import student

Outcome = Literal["equivalent", "better", "no worse", "worse", "not enough seeds"]


@dataclass(frozen=True)
class Equivalence:
    """A candidate's quality less a reference's, over paired seeds, against a delta that was declared before.

    Schuirmann's two one-sided tests (1987), each at 5 %: the interval of 90 % is what neither of them excludes, so that
    an outcome read off the interval and one read off a p-value are the same.

    Attributes:
        num_seeds: Pairs.
        difference: Mean of candidate less reference; above zero where the candidate is better.
        low: Lower end of Student's 90 % interval.
        high: Upper end.
        delta: The largest difference that does not matter.
        p_no_worse: One-sided p-value of "worse by delta or more": below .05 where ``low > -delta``.
        p_no_better: One-sided p-value of "better by delta or more": below .05 where ``high < delta``.
        p_worse: One-sided p-value of "not worse by more than delta": below .05 where ``high < -delta``.
        p_better: One-sided p-value of "not better by more than delta": below .05 where ``low > delta``.
    """

    num_seeds: int
    difference: float
    low: float
    high: float
    delta: float
    p_no_worse: float
    p_no_better: float
    p_worse: float
    p_better: float

    @property
    def p(self) -> float:
        """The p-value of equivalence: the larger of the two."""
        return max(self.p_no_worse, self.p_no_better)

    @property
    def is_enough(self) -> bool:
        """Whether there are seeds enough to show that nothing that matters is lost."""
        return self.num_seeds >= FEWEST_WITHOUT_EFFECT

    @property
    def suffices(self) -> bool:
        """Whether it is shown that the candidate is at least as good, within delta."""
        return self.outcome in ("equivalent", "better", "no worse")

    @property
    def outcome(self) -> Outcome:
        """What is shown: ``better`` and ``worse`` are by more than delta, ``no worse`` is not worse by delta."""
        if self.p_worse < ALPHA:
            return "worse"
        if self.p_better < ALPHA:
            return "better"
        if not self.is_enough or self.p_no_worse >= ALPHA:
            return "not enough seeds"
        return "equivalent" if self.p_no_better < ALPHA else "no worse"

    @property
    def shown(self) -> str:
        """The difference and its interval, as they are read."""
        if self.num_seeds < 2:
            return f"{self.difference:+.3g} of one seed"
        return f"{self.difference:+.3g}, 90 % interval {self.low:+.3g} to {self.high:+.3g}"


def tost(
    candidate: Sequence[float], reference: Sequence[float], delta: float, *, resolution: float = 0.0
) -> Equivalence:
    """Hold a candidate's quality against a reference's, seed by seed.

    Args:
        candidate: Its quality by seed; higher is better.
        reference: The reference's, in the same order.
        delta: The largest difference that does not matter, above 0.
        resolution: The least step that the quality takes. Differences are taken to scatter by so much at least: shares
            of few answers come out the same by chance, and then say nothing of their scatter.

    Raises:
        ValueError: The arms have different numbers of seeds, or none, a value is not finite, or delta is not above 0.
    """
    if len(candidate) != len(reference) or not len(candidate):
        raise ValueError(f"paired seeds are needed: one arm has {len(candidate)}, the other {len(reference)}")
    if not delta > 0:
        raise ValueError(f"delta: expected more than 0, found {delta}")
    differences = np.asarray(candidate, dtype=float) - np.asarray(reference, dtype=float)
    if not np.isfinite(differences).all():
        raise ValueError("finite values are needed")
    n, mean = len(differences), float(differences.mean())
    if n < 2:
        return Equivalence(n, mean, -math.inf, math.inf, delta, 1.0, 1.0, 1.0, 1.0)
    error = max(float(differences.std(ddof=1)), resolution) / math.sqrt(n)
    low, high = student.around(mean, error, n - 1, 1 - 2 * ALPHA) if error else (mean, mean)
    above = [_above(mean - bound, error, n - 1) for bound in (-delta, delta)]
    return Equivalence(n, mean, low, high, delta, above[0], 1 - above[1], 1 - above[0], above[1])


def _above(distance: float, error: float, freedom: int) -> float:
    """The p-value of a true distance of zero or less."""
    from scipy import stats

    if not error:
        return float(distance <= 0) if distance else 0.5
    return float(stats.t.sf(distance / error, freedom))
