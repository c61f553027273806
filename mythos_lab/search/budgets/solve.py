"""Whole numbers at which costs come to given budgets, found with few evaluations.

Costs are nearly powers of a size, or affine in it, so that a secant is near after two or three steps. A bracket keeps
it safe: a search ends at two legal sizes next to each other between which the budget lies.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

Sizes = tuple[int, ...]
Measure = Callable[[Sizes, int], "float | None"]
"""What a budget, by its index, comes to at these sizes, above zero; ``None`` where they are not legal."""

_LARGEST = 2**31
_GROWTH = 8.0  # a step beyond what has been seen goes at most so many times as far
_REACH = 48  # sizes on either side that are tried for a legal one: heads must divide widths, and the like
_CLOSE = 0.1  # the share of the tolerance within which no nearer size is looked for
_NUM_PLANS = 2
_WIDER = 4  # sizes beyond a crossing that are looked at, where an inner search rounds
_NUM_TRIED = 64  # combinations of the sizes that no budget needs


class NoEffect(ValueError):
    """No size changes a budget, and it misses its target.

    Attributes:
        budget: Its index.
    """

    def __init__(self, budget: int) -> None:
        super().__init__(f"no size changes budget {budget}")
        self.budget = budget


@dataclass(frozen=True)
class Solution:
    """Sizes, and how near they come.

    Attributes:
        sizes: One for each unknown.
        values: What each budget comes to.
        misses: By how much each budget misses its target, relative to it.
    """

    sizes: Sizes
    values: tuple[float, ...]
    misses: tuple[float, ...]

    @property
    def mismatch(self) -> float:
        """The largest relative miss."""
        return max(map(abs, self.misses))


def solve(measure: Measure, targets: Sequence[float], start: Sequence[int], tolerance: float) -> Solution | None:
    """Sizes at which every budget comes to its target.

    Each budget is solved for by a size that changes it. Where sizes change several budgets, one search runs within
    another, the first budgets innermost; so those that are quick to measure should come first. Sizes beyond the number
    of budgets are tried around where they start, nearest first.

    Args:
        measure: See :data:`Measure`; a budget has to grow with a size, or to fall with it.
        targets: Above zero, one for each budget.
        start: At least 1, one for each size.
        tolerance: The relative miss that is good enough.

    Returns:
        The nearest that was found, within the tolerance or not; ``None`` where no sizes are legal.

    Raises:
        NoEffect: A budget misses its target, and no size changes it.
    """
    return _Search(measure, targets, tuple(start), tolerance).run()


class _Search:
    def __init__(self, measure: Measure, targets: Sequence[float], start: Sizes, tolerance: float) -> None:
        self.measure: Measure = cache(measure)
        self.targets, self.start, self.tolerance = targets, start, tolerance
        self.best: Solution | None = None

    def run(self) -> Solution | None:
        unknowns = range(len(self.start))
        one_each = len(self.start) == len(self.targets) == 1
        self.changed = [{0: 1.0}] if one_each else [self._changes(i) for i in unknowns]
        for plan in self._plans():
            solved = {i for i, _ in plan}
            for sizes in self._tried([i for i in unknowns if i not in solved]):
                self._descend(plan, sizes)
                if self.best is not None and self.best.mismatch <= self.tolerance:
                    return self.best
        missed = [] if self.best is None else [j for j, m in enumerate(self.best.misses) if abs(m) > self.tolerance]
        for j in missed:
            if not any(j in self._changes(i) for i in unknowns):
                raise NoEffect(j)
        return self.best

    def _changes(self, i: int) -> dict[int, float]:
        """The budgets that a size changes, and by which share the next size does; all where no size is legal here."""
        here = self._legal(i, self.start[i])
        if here is None:
            return dict.fromkeys(range(len(self.targets)), 1.0)
        for n in (2 * here[i], max(1, here[i] // 2)):
            there = self._legal(i, n, here)
            changes = {} if there is None else {j: self._change(here, there, i, j) for j in range(len(self.targets))}
            if any(changes.values()):
                return {j: change for j, change in changes.items() if change}
        return {}

    def _change(self, here: Sizes, there: Sizes, i: int, j: int) -> float:
        a, b = self.measure(here, j), self.measure(there, j)
        assert a is not None and b is not None
        return abs(math.log(b / a) / math.log(there[i] / here[i])) / here[i]

    def _legal(self, i: int, n: int, apart: Sizes | None = None) -> Sizes | None:
        near = (_with(self.start, i, k) for k in _nearest(n, max(1, n - _REACH), n + _REACH))
        return next((at for at in near if at != apart and self.measure(at, 0) is not None), None)

    def _plans(self) -> list[list[tuple[int, int]]]:
        """Ways to give sizes to as many budgets as possible: which size solves for which, the outermost search first.

        The best come first: those with the least coupling, then with the first budgets innermost, then with the size
        innermost that changes its budget in the finest steps.
        """
        sizes, budgets = range(len(self.start)), range(len(self.targets))
        for num in range(min(len(sizes), len(budgets)), 0, -1):
            plans = [
                list(zip(paths, chosen, strict=True))
                for chosen in itertools.permutations(budgets, num)
                for paths in itertools.permutations(sizes, num)
                if all(j in self.changed[i] for i, j in zip(paths, chosen, strict=True))
            ]
            if plans:
                return sorted(plans, key=self._burden)[:_NUM_PLANS]
        return [[]]

    def _burden(self, plan: list[tuple[int, int]]) -> tuple[int, int, list[int], float]:
        coupled = sum(self._is_coupled(plan[at:]) for at in range(len(plan)))
        i, j = plan[-1]
        return coupled, sum(j for _, j in plan), [-j for _, j in plan], self.changed[i][j]

    def _is_coupled(self, plan: list[tuple[int, int]]) -> bool:
        """Whether sizes of inner searches change what the outermost one solves for."""
        return any(plan[0][1] in self.changed[i] for i, _ in plan[1:])

    def _tried(self, others: list[int]) -> Iterator[Sizes]:
        """The sizes to start from: values around the present ones of those that no budget needs."""
        ranges = []
        for i in others:
            near = _nearest(self.start[i], max(1, self.start[i] // 4), 4 * self.start[i])
            ranges.append(list(itertools.islice(near, _NUM_TRIED)))
        places = sorted(itertools.product(*(range(len(values)) for values in ranges)), key=sum)
        for place in places[:_NUM_TRIED]:
            sizes = self.start
            for i, values, at in zip(others, ranges, place, strict=True):
                sizes = _with(sizes, i, values[at])
            yield sizes

    def _descend(self, plan: list[tuple[int, int]], sizes: Sizes) -> Solution | None:
        """The nearest solution in which sizes outside the plan are as given."""
        if not plan:
            return self._evaluated(sizes)
        (i, j), inner = plan[0], plan[1:]
        coupled = self._is_coupled(plan)

        def value(n: int) -> float | None:
            at = _with(sizes, i, n)
            if not coupled:
                return self.measure(at, j)
            found = self._descend(inner, at)
            return None if found is None else found.values[j]

        near = around(value, self.targets[j], sizes[i], self.tolerance * _CLOSE)
        found = [self._descend(inner, _with(sizes, i, n)) for n in near]
        if coupled and near:
            # Inner sizes are whole numbers too, so that the best need not be next to the crossing.
            for n in _nearest(near[0], max(1, near[0] - _WIDER), near[0] + _WIDER):
                if self.best is not None and self.best.mismatch <= self.tolerance:
                    break
                found.append(self._descend(inner, _with(sizes, i, n)))
        return min((f for f in found if f is not None), key=_mismatch, default=None)

    def _evaluated(self, sizes: Sizes) -> Solution | None:
        values = [v for j in range(len(self.targets)) if (v := self.measure(sizes, j)) is not None]
        if len(values) < len(self.targets):
            return None
        misses = tuple(value / target - 1 for value, target in zip(values, self.targets, strict=True))
        found = Solution(sizes, tuple(values), misses)
        if self.best is None or found.mismatch < self.best.mismatch:
            self.best = found
        return found


def around(value: Callable[[int], float | None], target: float, start: int, close: float) -> list[int]:
    """The two legal sizes next to each other between whose values the target lies.

    Args:
        value: At a size, ``None`` where it is not legal; grows with the size, or falls.
        target: Above zero.
        start: Where to begin.
        close: A relative miss that ends the search at the size that has it.

    Returns:
        Two sizes; one where it is close, or where there is none on the other side of the target; none where none is
        legal.
    """
    seen: dict[int, float] = {}

    def try_near(guess: int, low: int, high: int) -> bool:
        """Look at the legal size in the range that is nearest to the guess; false if there is none."""
        guess = min(max(guess, low), high)
        for n in _nearest(guess, max(low, guess - _REACH), min(high, guess + _REACH)):
            if n not in seen and (found := value(n)) is not None:
                seen[n] = found
                return True
        return False

    try_near(start, 1, _LARGEST)
    for turn in itertools.count():
        near = [n for n in seen if abs(seen[n] / target - 1) <= close]
        if near or not seen:
            return near[:1]
        low, high = _bracket(seen, target)
        if try_near(_guess(seen, target, low, high, turn), (low or 0) + 1, (high or _LARGEST + 1) - 1):
            continue
        if len(seen) > 1 or not try_near(start, 1, _LARGEST):  # one point does not tell a rise from a fall
            return [n for n in (low, high) if n is not None]
    raise AssertionError("the loop ends by itself")


def _bracket(seen: dict[int, float], target: float) -> tuple[int | None, int | None]:
    """The nearest sizes on either side of the crossing, of those that have been seen."""
    grows = seen[max(seen)] >= seen[min(seen)]
    before = [n for n, value in seen.items() if (value < target) == grows]
    after = [n for n in seen if n not in before]
    return max(before, default=None), min(after, default=None)


def _guess(seen: dict[int, float], target: float, low: int | None, high: int | None, turn: int) -> int:
    if low is not None and high is not None:
        if turn % 3 == 2:
            return round(math.sqrt(low * high))
        share = math.log(target / seen[low]) / math.log(seen[high] / seen[low])
        return round(low * (high / low) ** share)
    here = low if low is not None else high
    assert here is not None
    others = sorted((n for n in seen if n != here), key=lambda n: abs(n - here))
    guesses = [here * target / seen[here]]
    if others:
        a, b = math.log(seen[here] / seen[others[0]]), math.log(here / others[0])
        power, slope = a / b, (seen[here] - seen[others[0]]) / (here - others[0])
        guesses = [here + (target - seen[here]) / slope] if slope else []
        guesses += [here * math.exp(min(99.0, math.log(target / seen[here]) / power))] if power else []
    if low is not None:
        # Of the straight line and the power, the nearer overshoots less.
        return math.ceil(min([g for g in guesses if g > here] + [here * _GROWTH]))
    return math.floor(max([g for g in guesses if 0 < g < here] + [here / _GROWTH]))


def _nearest(start: int, low: int, high: int) -> Iterator[int]:
    """The whole numbers from ``low`` to ``high``, those nearest to ``start`` first."""
    for distance in range(max(start - low, high - start) + 1):
        for n in dict.fromkeys((start - distance, start + distance)):
            if low <= n <= high:
                yield n


def _with(sizes: Sizes, i: int, n: int) -> Sizes:
    return (*sizes[:i], n, *sizes[i + 1 :])


def _mismatch(solution: Solution) -> float:
    return solution.mismatch
