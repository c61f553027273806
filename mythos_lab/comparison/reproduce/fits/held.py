"""What every fit of a record has: numbers with intervals, what they say, and what speaks against them."""

from __future__ import annotations

import math

from mythos_blocks.declaring.spec import Declaration
from mythos_lab.report.table import Cell, Table, interval, name, number


class HeldEstimate(Declaration):
    """A fitted number with its 95 % interval.

    Attributes:
        value: The number.
        low: Lower end; ``None`` where the data leave it open.
        high: Upper end.
    """

    value: float
    low: float | None
    high: float | None

    @classmethod
    def of(cls, value: float, low: float, high: float) -> HeldEstimate:
        """A number whose open ends are infinite."""
        return cls(value=value, low=low if math.isfinite(low) else None, high=high if math.isfinite(high) else None)

    @property
    def ends(self) -> tuple[float, float]:
        """Both ends; an open one is infinite."""
        return (-math.inf if self.low is None else self.low, math.inf if self.high is None else self.high)

    def between(self, form: str = ".4g") -> Cell:
        """Both ends as a table has them."""
        return interval(*self.ends, form)


class HeldLaw(Declaration):
    """What came of a fit.

    Attributes:
        title: What it shows.
        law: The equation.
        estimates: Its parameters by name; none where it could not be fitted.
        finding: What follows, in a sentence.
        against: What speaks against reading more into it, a sentence each.
    """

    title: str
    law: str
    estimates: dict[str, HeldEstimate]
    finding: str
    against: list[str]

    def parameters(self) -> Table:
        """The fitted parameters."""
        rows = [(each, found.value, found.between()) for each, found in self.estimates.items()]
        return Table((name("parameter", ""), number("fitted"), number("interval", "95 %")), rows, self.law)
