"""Finite groups as multiplication tables."""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations
from typing import Literal

import numpy as np

from mythos_lab.tasks.base import Array

GroupName = Literal["Z2", "Z5", "Z60", "S3", "S4", "S5", "A4", "A5"]


@lru_cache(maxsize=8)
def table(name: GroupName) -> Array:
    """``table[a, b]`` is the index of "first a, then b"; element 0 is the neutral one."""
    order = int(name[1:])
    if name[0] == "Z":
        return np.add.outer(np.arange(order), np.arange(order)) % order
    elements = np.array([p for p in permutations(range(order)) if name[0] == "S" or _even(p)])
    # (first a, then b)(i) = b[a[i]]; a permutation's number in a mixed base finds its index.
    code = elements @ (order ** np.arange(order))
    index = {int(c): i for i, c in enumerate(code)}
    products = elements[:, elements] @ (order ** np.arange(order))  # [b, a, :] -> code of b o a
    return np.array([[index[int(c)] for c in row] for row in products.T])


@lru_cache(maxsize=8)
def generators(name: GroupName) -> tuple[int, ...]:
    """A pair of elements, or one, that generates the group: the first that does, in order of index."""
    products = table(name)
    size = len(products)
    for a in range(1, size):
        if _spans(products, (a,)):
            return (a,)
    for a in range(1, size):
        for b in range(a + 1, size):
            if _spans(products, (a, b)):
                return (a, b)
    raise AssertionError(f"{name} has no pair of generators")


def _spans(products: Array, elements: tuple[int, ...]) -> bool:
    seen, fresh = {0}, {0}
    while fresh:
        fresh = {int(products[a, b]) for a in fresh for b in elements} - seen
        seen |= fresh
    return len(seen) == len(products)


def _even(permutation: tuple[int, ...]) -> bool:
    return sum(a > b for i, a in enumerate(permutation) for b in permutation[i + 1 :]) % 2 == 0
