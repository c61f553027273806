"""What the samples of a split came to, and how far their number lets a figure be known.

A sample is right or wrong as a whole far more often than token by token, so intervals count samples, not tokens; of a
text they count documents. They are of the samples that might have been drawn; that another seed of training comes to
something else is not in them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mythos_lab.tasks.base import FEWEST_UNITS

Interval = tuple[float, float]

LEVEL = 0.95
"""The share of splits whose interval holds the truth."""


@dataclass(frozen=True)
class Tally:
    """Scored tokens of each unit: of each sample, or of what else was drawn as a whole (``Batch.units``).

    Attributes:
        totals: How many there are, ``(units,)``.
        hits: How many of them are right, ``(units,)``.
        losses: Their summed cross-entropy in nats, ``(units,)``.
        units: Which units they are, ``(units,)`` integers; ``None`` where each row is one of its own.
    """

    totals: Tensor
    hits: Tensor
    losses: Tensor
    units: Tensor | None = None

    @classmethod
    def of(cls, rows: Tensor, right: Tensor, losses: Tensor, num_rows: int) -> Tally:
        """Sums by sample of what is known by token, each ``(scored,)``; samples without scored tokens are left out.

        Args:
            rows: The sample that a token belongs to.
            right: Whether it is predicted right.
            losses: Its cross-entropy.
            num_rows: Samples of the batch.
        """
        sums = [
            torch.bincount(rows, weights=values.double(), minlength=num_rows)
            for values in (torch.ones_like(rows), right, losses)
        ]
        return cls(*(values[sums[0] > 0] for values in sums))

    @classmethod
    def joined(cls, tallies: list[Tally]) -> Tally:
        """The tallies of several batches as one; what they have of one unit is one row."""
        rows = [torch.cat([getattr(t, name) for t in tallies]) for name in ("totals", "hits", "losses")]
        units = [t.units for t in tallies if t.units is not None]
        if not units:
            return cls(*rows)
        found, place = torch.cat(units).unique(return_inverse=True)
        totals, hits, losses = (torch.bincount(place, weights=values) for values in rows)
        return cls(totals, hits, losses, found)

    @property
    def num_scored(self) -> int:
        """Scored tokens."""
        return int(self.totals.sum())

    @property
    def accuracy(self) -> float:
        """Share of scored tokens predicted right."""
        return float(self.hits.sum() / self.totals.sum())

    @property
    def loss(self) -> float:
        """Mean cross-entropy of scored tokens, nats."""
        return float(self.losses.sum() / self.totals.sum())

    def accuracy_interval(self) -> Interval | None:
        """Wilson's interval of as many independent tokens as would scatter like these units (Korn, Graubard 1998).

        Where all tokens are right, or none, nothing scatters, and a unit counts once. ``None`` of fewer than
        ``FEWEST_UNITS``, as all other intervals.
        """
        from scipy import special  # which every command would start with

        p, num_units = self.accuracy, _effective(self.totals)
        if num_units < FEWEST_UNITS:
            return None
        variance = _variance(self.hits, self.totals)
        z = float(special.ndtri((1 + LEVEL) / 2))
        effective = min(p * (1 - p) / variance, self.num_scored) if variance > 0 else num_units
        effective *= (z / _quantile(num_units)) ** 2  # the variance is known from so many units only
        centre = (p + z * z / (2 * effective)) / (1 + z * z / effective)
        half = z / (1 + z * z / effective) * (p * (1 - p) / effective + z * z / (4 * effective**2)) ** 0.5
        return max(0.0, centre - half), min(1.0, centre + half)

    def loss_interval(self) -> Interval | None:
        """Student's interval of a ratio of sums over units.

        It is too narrow where a few samples carry most of the loss, as confident errors do: one that comes once in a
        hundred samples is held by 41 % of intervals of 64 samples.
        """
        return _students(self.losses, self.totals)

    def accuracy_gain(self, other: Tally) -> Interval | None:
        """Student's interval of this accuracy less another one on the same samples.

        It is that of two more units, one for either side, in the manner of Agresti and Coull (1998): where none was
        seen to differ, the next one may.
        """
        if _effective(self.totals) < FEWEST_UNITS:
            return None
        size = self.totals.mean().repeat(2)
        sides = size * torch.tensor([1.0, -1.0])
        return _students(torch.cat([self.hits - other.hits, sides]), torch.cat([self.totals, size]))

    def loss_gain(self, other: Tally) -> Interval | None:
        """Interval of another loss on the same samples less this one."""
        return _students(other.losses - self.losses, self.totals)


def _variance(sums: Tensor, totals: Tensor) -> float:
    """Variance of ``sums.sum() / totals.sum()`` over units, ``(units,)`` each, by the jackknife.

    Where units are of unequal size, the linearised variance is too small, the jackknife's not (Efron, Stein 1981);
    of equal units they are one.
    """
    num_units = len(totals)
    without = (sums.sum() - sums) / (totals.sum() - totals)
    return float((num_units - 1) / num_units * (without - sums.sum() / totals.sum()).square().sum())


def _effective(totals: Tensor) -> float:
    """Units of equal size that would weigh like these (Kish 1965)."""
    return float(totals.sum().square() / totals.square().sum()) if len(totals) else 0.0


def _students(sums: Tensor, totals: Tensor) -> Interval | None:
    num_units = _effective(totals)
    if num_units < FEWEST_UNITS:
        return None
    centre, half = float(sums.sum() / totals.sum()), _quantile(num_units) * _variance(sums, totals) ** 0.5
    return centre - half, centre + half


def _quantile(num_units: float) -> float:
    from scipy import special  # which every command would start with

    return float(special.stdtrit(num_units - 1, (1 + LEVEL) / 2))
