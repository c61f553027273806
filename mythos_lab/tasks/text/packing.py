"""Where windows begin: training windows anywhere or in an order of each epoch's own, others one after the other.

A window is ``positions`` tokens and, as the last target, the one after them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mythos_lab.tasks.randomness import CHUNK, generator

Starts = NDArray[np.int64]


class Packing(Protocol):
    """Where the training windows begin.

    Attributes:
        num_windows: Different windows that it can give.
    """

    num_windows: int

    def drawn(self, indices: range) -> Starts:
        """First tokens of the training windows with these indices, ``(indices,)``."""
        ...


def num_apart(num_tokens: int, positions: int) -> int:
    """Windows without overlap that some tokens hold."""
    return (num_tokens - 1) // positions


def spread(num_tokens: int, positions: int, indices: range, size: int) -> Starts:
    """First tokens of windows ``indices`` out of ``size`` that are evenly spaced and share no token, ``(indices,)``.

    They begin at multiples of ``positions``, so that each of ``num_apart`` windows is read once where all are.

    Args:
        num_tokens: Tokens of the split.
        positions: Tokens of a window.
        indices: Which of the windows.
        size: How many windows there are to be, at most ``num_apart``.
    """
    last = num_apart(num_tokens, positions) - 1
    return np.array([i * last // max(1, size - 1) for i in indices], dtype=np.int64) * positions


class Stream:
    """Windows begin at any token, each drawn on its own.

    Args:
        num_tokens: Tokens of the split, at least ``positions + 2``.
        positions: Tokens of a window.
        seed: Seed of the training windows.
    """

    def __init__(self, num_tokens: int, positions: int, seed: int) -> None:
        self.num_windows, self.seed = num_tokens - positions, seed
        self._chunk = lru_cache(maxsize=8)(self._draw)

    def drawn(self, indices: range) -> Starts:
        return np.array([self._chunk(i // CHUNK)[i % CHUNK] for i in indices], dtype=np.int64)

    def _draw(self, chunk: int) -> Starts:
        return generator(self.seed, "train", chunk).integers(0, self.num_windows, CHUNK)


class Packed:
    """Windows follow each other without a gap; every epoch visits each once, shuffled.

    Sample i is window ``order[i % num_windows]`` of epoch ``i // num_windows``, and the order is a function of the
    seed and the epoch alone. Fewer than ``positions`` tokens at the end belong to no window.

    Args:
        num_tokens: Tokens of the split, at least ``positions + 2``.
        positions: Tokens of a window.
        seed: Seed of the orders.
    """

    def __init__(self, num_tokens: int, positions: int, seed: int) -> None:
        self.num_windows, self.positions, self.seed = num_apart(num_tokens, positions), positions, seed
        # An order takes 8 bytes a window; a batch may reach from one epoch into the next.
        self._order = lru_cache(maxsize=2)(self._shuffle)

    def drawn(self, indices: range) -> Starts:
        chosen = [self._order(i // self.num_windows)[i % self.num_windows] for i in indices]
        return np.array(chosen, dtype=np.int64) * self.positions

    def _shuffle(self, epoch: int) -> Starts:
        return generator(self.seed, "order", epoch).permutation(self.num_windows)
