"""The shortest sequence of iterations that gives the same answers, and the fewest operators in one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, islice, product

from mythos_lab.measures.flips import Flipped, OutOfBudget, Word

EXHAUSTIVE = 10
"""Loops up to which every order-keeping sub-word is tried."""

_WIDTH = 2  # of the beam; each word in it costs a whole pass


@dataclass(frozen=True)
class Found:
    """A word, and whether all that say less were tried.

    Attributes:
        word: The word.
        is_least: Whether nothing that says less gives the same answers on these samples; else it is an upper bound.
    """

    word: Word
    is_least: bool


def shortest(num_loops: int, flips: Flipped) -> Found:
    """The shortest order-keeping sub-word of ``0 .. num_loops - 1`` that holds.

    Every one is tried up to :data:`EXHAUSTIVE` loops; beyond, prefixes and what a beam of single deletions reaches.
    """
    whole = tuple(range(num_loops))
    found = whole
    try:
        if num_loops <= EXHAUSTIVE:
            for length in range(1, num_loops):
                for word in combinations(whole, length):
                    if flips(word) is not None:
                        return Found(word, True)
            return Found(whole, True)
        for length in range(1, num_loops):
            if flips(whole[:length]) is not None:
                found = whole[:length]
                break
        beam = list(dict.fromkeys((found, whole)))
        while beam := _holding({shorter for word in beam for shorter in _without_one(word)}, flips):
            found = min(found, beam[0], key=len)
    except OutOfBudget:
        pass
    return Found(found, False)


def fewest_times(num_loops: int, flips: Flipped) -> Found | None:
    """How often the one operator of a loop must run that is not told which iteration it is in.

    ``None`` where it gives other answers however often it runs: then the loop is told after all.
    """
    try:
        held = (Found((0,) * n, True) for n in range(1, num_loops + 1) if flips((0,) * n) is not None)
        return next(held, None)
    except OutOfBudget:
        return Found((0,) * num_loops, False)


def fewest(word: Word, flips: Flipped) -> Found:
    """The idempotent merge of a word's slots that holds with the fewest operators.

    A merge lets each slot run the index of a slot that keeps its own. A beam of merges of two operators into one gives
    an upper bound; then everything with fewer is tried, while the budget lasts.
    """
    found = word

    def spelled_flips(kept: Word) -> int | None:
        return flips(_spelled(word, kept))

    try:
        beam = [tuple(range(len(word)))]
        while beam := _holding({merged for kept in beam for merged in _merged(kept)}, spelled_flips):
            found = _spelled(word, beam[0])
        for num_kept in range(1, len(set(found))):
            for kept in _merges(len(word), num_kept):
                if spelled_flips(kept) is not None:
                    return Found(_spelled(word, kept), True)
    except OutOfBudget:
        return Found(found, False)
    return Found(found, True)


def _without_one(word: Word) -> Iterator[Word]:
    for place in range(len(word) if len(word) > 1 else 0):
        yield word[:place] + word[place + 1 :]


def _holding(words: set[Word], flips: Flipped) -> list[Word]:
    """The first of them that hold."""
    held = (word for word in sorted(words) if flips(word) is not None)
    return list(islice(held, _WIDTH))


def _spelled(word: Word, kept: Word) -> Word:
    """The word in which slot i runs what slot ``kept[i]`` does."""
    return tuple(word[slot] for slot in kept)


def _merged(kept: Word) -> Iterator[Word]:
    """One operator given up for another."""
    operators = sorted(set(kept))
    for given_up, instead in product(operators, operators):
        if given_up != instead:
            yield tuple(instead if slot == given_up else slot for slot in kept)


def _merges(num_slots: int, num_kept: int) -> Iterator[Word]:
    """Every idempotent map of the slots with so many operators; words that begin alike follow each other."""
    for operators in combinations(range(num_slots), num_kept):
        kept = set(operators)
        yield from product(*((slot,) if slot in kept else operators for slot in range(num_slots)))
