"""How often another sequence of iterations changes a model's answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mythos_lab.measures.driving import Driver
from mythos_lab.measures.subject import Subject
from mythos_lab.measures.tally import LEVEL

Word = tuple[int, ...]
"""A sequence of iteration indices, 0-based, as a pass runs them."""

_PARTS = (8, 24, 96, 256)  # a word that changes many answers is told by few


class OutOfBudget(Exception):
    """More passes are asked for than were declared."""


@dataclass(frozen=True)
class Share:
    """A share of answers that flip.

    Attributes:
        value: The share.
        bound: What it is at most, with a confidence of 95 %.
        num_answers: Answers that were looked at.
    """

    value: float
    bound: float
    num_answers: int


class Flips:
    """Flips of answers against those of the iterations in their order, on the same samples and noise.

    Args:
        subject: The model and the samples.
        allowed: The share of answers that may flip.
        budget: Positions that the search may run through an iteration.
    """

    def __init__(self, subject: Subject, allowed: float, budget: float) -> None:
        samples = subject.samples.in_parts(*_PARTS)
        self._subject, self._batches, self._budget = subject, samples.batches, budget
        self._whole, self._units = tuple(range(subject.num_loops)), samples.units()
        self._most = allowed * len(self._units)
        self._parts = [Driver(subject, batch) for batch in self._batches]
        self._reference: list[Tensor] = []
        self._told: dict[Word, int | None] = {self._whole: 0}

    @property
    def spent(self) -> int:
        """Positions run through an iteration so far."""
        parts = zip(self._parts, self._batches, strict=True)
        return sum(part.num_iterations * batch.tokens.numel() for part, batch in parts)

    def within(self, word: Word) -> int | None:
        """The number of answers that the word flips; ``None`` as soon as they are more than allowed.

        Raises:
            OutOfBudget: The budget is spent.
        """
        if word not in self._told:
            self._told[word] = self._count(word)
        return self._told[word]

    def _count(self, word: Word) -> int | None:
        flips = 0
        for number, part in enumerate(self._parts):
            if self.spent >= self._budget:
                raise OutOfBudget
            flips += int((part.answers(word) != self._answers(number)).sum())
            if flips > self._most:
                return None
        return flips

    def share(self, word: Word, *, noise: int = 0) -> Share:
        """The share of answers that the word flips, and its upper bound, whatever the budget.

        The iterations in their order flip none of their own answers, whatever the samples: that is no estimate.

        Args:
            word: The sequence of iterations.
            noise: Seed of what components draw; that of the answers compared with is 0.
        """
        if word == self._whole and noise == 0:
            return Share(0.0, 0.0, len(self._units))
        flipped = []
        for number, part in enumerate(self._parts):
            drawn = part if noise == 0 else Driver(self._subject, self._batches[number], noise)
            flipped.append((drawn.answers(word) != self._answers(number)).cpu())
        every = torch.cat(flipped)
        return Share(float(every.double().mean()), upper_bound(every, self._units), len(every))

    def _answers(self, number: int) -> Tensor:
        while len(self._reference) <= number:
            self._reference.append(self._parts[len(self._reference)].answers(self._whole))
        return self._reference[number]


Flipped = Callable[[Word], int | None]
"""The number of answers that a word flips; ``None`` where they are more than allowed."""


def upper_bound(flipped: Tensor, units: Tensor) -> float:
    """One-sided 95 % bound of the share of answers that flip.

    It is Clopper and Pearson's (1934) of as many answers as would scatter like these units (Korn, Graubard 1998): of
    one answer a unit, of all answers.

    Args:
        flipped: Whether an answer flips, ``(answers,)``.
        units: The unit that it was drawn with, numbered from 0, ``(answers,)``.
    """
    from scipy import special  # which every command would start with

    totals = torch.bincount(units).double()
    sums = torch.bincount(units, weights=flipped.double())
    share, num_units = float(sums.sum() / totals.sum()), float(totals.sum().square() / totals.square().sum())
    count = num_units
    if bool((totals > 1).any()):
        without = (sums.sum() - sums) / (totals.sum() - totals)
        variance = float((len(totals) - 1) / len(totals) * (without - share).square().sum())
        if len(totals) > 1 and variance > 0:
            count = min(share * (1 - share) / variance, float(totals.sum()))
            # The variance is known from so many units only.
            count *= float(special.ndtri(LEVEL) / special.stdtrit(max(num_units - 1, 1), LEVEL)) ** 2
    hits = share * count
    return 1.0 if hits >= count else float(special.betaincinv(hits + 1, count - hits, LEVEL))
