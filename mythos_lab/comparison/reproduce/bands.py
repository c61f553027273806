"""Whether a band holds: the interval of a number over paired seeds, and where it lies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from mythos_lab.comparison.reproduce.fits import HeldFit
from mythos_lab.comparison.reproduce.protocol import Band
from mythos_lab.comparison.reproduce.readings import DIVERGED
from mythos_lab.comparison.reproduce.runs import Runs
from mythos_lab.measures import student

Outcome = Literal["holds", "does not hold", "open", "not measured"]


@dataclass(frozen=True)
class Finding:
    """What became of a band.

    Attributes:
        band: The claim.
        values: The number, difference or ratio by seed; of a fit, what was fitted.
        mean: Their mean; ``nan`` without any.
        low: Lower end of Student's 95 % interval of the mean; values that are all the same have no width.
        high: Upper end.
        outcome: ``holds`` where the interval lies within the band, ``does not hold`` where it lies outside, ``open``
            where it is partly within: so many seeds cannot say.
    """

    band: Band
    values: tuple[float, ...]
    mean: float
    low: float
    high: float
    outcome: Outcome

    @property
    def allowed(self) -> str:
        """The band in words."""
        low, high = self.band.at_least, self.band.at_most
        if low is None:
            return f"at most {high:g}"
        return f"at least {low:g}" if high is None else f"{low:g} to {high:g}"


def judge(band: Band, runs: Runs, fits: Mapping[str, HeldFit] | None = None) -> Finding:
    """Hold a band against what the runs came to, seed by seed, or against what was fitted."""
    if band.of.fit is not None:
        return _judged_by_fit(band, (fits or {})[band.of.fit])
    numbers = [runs.by_seed(number.arm, number.read) for number in band.numbers if number.arm is not None]
    seeds = sorted(set.intersection(*map(set, numbers)))
    values = tuple(v for seed in seeds if math.isfinite(v := _combined(band, [each[seed] for each in numbers])))
    if not values:
        return Finding(band, (), math.nan, -math.inf, math.inf, "not measured")
    mean = sum(values) / len(values)
    # A run that diverges ends its arm, and one is enough to say that it did.
    told = len(values) > 1 or band.of.read == DIVERGED
    low, high = (mean, mean) if told and len(set(values)) == 1 else student.interval(values)
    return Finding(band, values, mean, low, high, _where(band, low, high))


def _judged_by_fit(band: Band, fit: HeldFit) -> Finding:
    if (found := fit.estimates.get(band.of.read)) is None:
        return Finding(band, (), math.nan, -math.inf, math.inf, "not measured")
    return Finding(band, (found.value,), found.value, *found.ends, _where(band, *found.ends))


def _where(band: Band, low: float, high: float) -> Outcome:
    """Where an interval lies to the band."""
    least = -math.inf if band.at_least is None else band.at_least
    most = math.inf if band.at_most is None else band.at_most
    if least <= low and high <= most:
        return "holds"
    return "does not hold" if high < least or low > most else "open"


def _combined(band: Band, numbers: list[float]) -> float:
    if band.less is not None:
        return numbers[0] - numbers[1]
    if band.over is not None:
        return numbers[0] / numbers[1] if numbers[1] else math.nan
    return numbers[0]


def counted(outcomes: Sequence[Outcome]) -> dict[Outcome, int]:
    """How many bands came to what."""
    return {outcome: outcomes.count(outcome) for outcome in get_args(Outcome)}


def summary(outcomes: Sequence[Outcome]) -> str:
    """How many of the bands hold, in a sentence."""
    counts = counted(outcomes)
    said = f"{counts['holds']} of {len(outcomes)} bands hold"
    words: dict[Outcome, str] = {
        "does not hold": "{n} do not",
        "open": "{n} cannot be told by so many seeds",
        "not measured": "{n} were not measured",
    }
    return "; ".join([said, *(text.format(n=counts[outcome]) for outcome, text in words.items() if counts[outcome])])
