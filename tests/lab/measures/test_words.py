"""The search for words, on loops that compose known permutations."""

import numpy as np
import pytest

from mythos_lab.measures.flips import OutOfBudget
from mythos_lab.measures.words import fewest, shortest
from tests.lab.measures.planted_words import TRUTHS, tables

NUM_TOKENS = 12


def flips_of(maps, tokens, delta=0.01, budget=10**6):
    """What a search asks, of composed permutations; it may ask so often."""
    asked = [0]

    def composed(word):
        out = tokens
        for t in word:
            out = maps[t][out]
        return out

    whole = composed(range(len(maps)))

    def flips(word):
        asked[0] += 1
        if asked[0] > budget:
            raise OutOfBudget
        count = int((composed(word) != whole).sum())
        return count if count <= delta * len(tokens) else None

    return flips


def counted(letters, num_samples, seed=0, **options):
    maps = tables(letters, NUM_TOKENS, seed)
    flips = flips_of(maps, np.random.default_rng(seed + 1).integers(NUM_TOKENS, size=num_samples // 2), **options)
    used = shortest(len(maps), flips)
    return used, fewest(used.word, flips)


@pytest.mark.parametrize("num_samples", [50, 400])
@pytest.mark.parametrize("name", TRUTHS)
def test_what_is_used_and_distinct_is_found(name, num_samples):
    letters, *truth = TRUTHS[name]
    used, distinct = counted(letters, num_samples)
    assert [len(used.word), len(set(distinct.word))] == truth
    assert used.is_least and distinct.is_least


def test_six_distinct_operators_are_rarely_read_as_fewer():
    read = [len(set(counted("abcdef", 50, seed)[1].word)) for seed in range(60)]
    assert sum(num < 6 for num in read) <= 3


@pytest.mark.parametrize("letters, used, distinct", [("a" + "-" * 14 + "b", 2, 2), ("abc" + "-" * 13, 3, 3)])
def test_beyond_what_can_be_tried_it_is_an_upper_bound_and_says_so(letters, used, distinct):
    found, merged = counted(letters, 100)
    assert (len(found.word), len(set(merged.word))) == (used, distinct)
    assert not found.is_least


@pytest.mark.parametrize("budget", [1, 5, 40, 100, 500])
def test_where_the_budget_ends_is_an_upper_bound_that_says_so(budget):
    used, distinct = counted("abcdef", 50, budget=budget)
    assert len(used.word) == len(set(distinct.word)) == 6
    assert not distinct.is_least
    assert used.is_least == (budget > 62)
