"""Whether a band holds: the interval of a number over paired seeds, and where it lies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

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
        values: The number, difference or ratio by seed.
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


def judge(band: Band, runs: Runs) -> Finding:
    """Hold a band against what the runs came to, seed by seed."""
    numbers = [runs.by_seed(number.arm, number.read) for number in band.numbers]
    seeds = sorted(set.intersection(*map(set, numbers)))
    values = tuple(v for seed in seeds if math.isfinite(v := _combined(band, [each[seed] for each in numbers])))
    if not values:
        return Finding(band, (), math.nan, -math.inf, math.inf, "not measured")
    mean = sum(values) / len(values)
    # A run that diverges ends its arm, and one is enough to say that it did.
    told = len(values) > 1 or band.of.read == DIVERGED
    low, high = (mean, mean) if told and len(set(values)) == 1 else student.interval(values)
    least = -math.inf if band.at_least is None else band.at_least
    most = math.inf if band.at_most is None else band.at_most
    outcome: Outcome = "open"
    if least <= low and high <= most:
        outcome = "holds"
    elif high < least or low > most:
        outcome = "does not hold"
    return Finding(band, values, mean, low, high, outcome)


def _combined(band: Band, numbers: list[float]) -> float:
    if band.less is not None:
        return numbers[0] - numbers[1]
    if band.over is not None:
        return numbers[0] / numbers[1] if numbers[1] else math.nan
    return numbers[0]


def summary(findings: list[Finding]) -> str:
    """How many of the bands hold, in a sentence."""
    counts = {
        outcome: sum(f.outcome == outcome for f in findings) for outcome in ("does not hold", "open", "not measured")
    }
    said = f"{sum(f.outcome == 'holds' for f in findings)} of {len(findings)} bands hold"
    words = {
        "does not hold": "{n} do not",
        "open": "{n} cannot be told by so many seeds",
        "not measured": "{n} were not measured",
    }
    return "; ".join([said, *(words[outcome].format(n=n) for outcome, n in counts.items() if n)])
