"""What the samples of a split came to, and how far their number lets a figure be known.

A sample is right or wrong as a whole far more often than token by token, so intervals count samples, not tokens. They
are of the samples that might have been drawn; that another seed of training comes to something else is not in them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy import stats
from torch import Tensor

Interval = tuple[float, float]

LEVEL = 0.95
"""The share of splits whose interval holds the truth."""


@dataclass(frozen=True)
class Tally:
    """Scored tokens of each sample.

    Attributes:
        totals: How many there are, ``(samples,)``.
        hits: How many of them are right, ``(samples,)``.
        losses: Their summed cross-entropy in nats, ``(samples,)``.
    """

    totals: Tensor
    hits: Tensor
    losses: Tensor

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
        """The tallies of several batches as one."""
        return cls(*(torch.cat([getattr(t, name) for t in tallies]) for name in ("totals", "hits", "losses")))

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
        """Wilson's interval of as many independent tokens as would scatter like these samples (Korn, Graubard 1998).

        Where all tokens are right, or none, nothing scatters, and a sample counts once.
        """
        p, num_samples = self.accuracy, len(self.totals)
        variance = _variance(self.hits, self.totals)
        if variance is None:
            return None
        z = float(stats.norm.ppf((1 + LEVEL) / 2))
        effective = min(p * (1 - p) / variance, self.num_scored) if variance > 0 else num_samples
        effective *= (z / _quantile(num_samples)) ** 2  # the variance is known from so many samples only
        centre = (p + z * z / (2 * effective)) / (1 + z * z / effective)
        half = z / (1 + z * z / effective) * (p * (1 - p) / effective + z * z / (4 * effective**2)) ** 0.5
        return max(0.0, centre - half), min(1.0, centre + half)

    def loss_interval(self) -> Interval | None:
        """Student's interval of a ratio of sums over samples.

        It is too narrow where a few samples carry most of the loss, as confident errors do: one that comes once in a
        hundred samples is held by 41 % of intervals of 64 samples.
        """
        return _students(self.losses, self.totals)

    def accuracy_gain(self, other: Tally) -> Interval | None:
        """Student's interval of this accuracy less another one on the same samples.

        It is that of two more samples, one for either side, in the manner of Agresti and Coull (1998): where none was
        seen to differ, the next one may.
        """
        if len(self.totals) < 2:
            return None
        size = self.totals.mean().repeat(2)
        sides = size * torch.tensor([1.0, -1.0])
        return _students(torch.cat([self.hits - other.hits, sides]), torch.cat([self.totals, size]))

    def loss_gain(self, other: Tally) -> Interval | None:
        """Interval of another loss on the same samples less this one."""
        return _students(other.losses - self.losses, self.totals)


def _variance(sums: Tensor, totals: Tensor) -> float | None:
    """Variance of ``sums.sum() / totals.sum()`` over samples, ``(samples,)`` each; ``None`` of fewer than two."""
    num_samples = len(totals)
    if num_samples < 2:
        return None
    rest = sums - totals * (sums.sum() / totals.sum())
    return float(num_samples / (num_samples - 1) * rest.square().sum() / totals.sum().square())


def _students(sums: Tensor, totals: Tensor) -> Interval | None:
    variance = _variance(sums, totals)
    if variance is None:
        return None
    centre, half = float(sums.sum() / totals.sum()), _quantile(len(totals)) * variance**0.5
    return centre - half, centre + half


def _quantile(num_samples: int) -> float:
    return float(stats.t.ppf((1 + LEVEL) / 2, num_samples - 1))
