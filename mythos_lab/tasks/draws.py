"""Random draws that several tasks make."""

from __future__ import annotations

import numpy as np

from mythos_lab.tasks.base import Array


def distinct(rng: np.random.Generator, num: int, count: int, low: int, high: int) -> Array:
    """``(num, count)`` integers in [low, high), without repetition within a row."""
    size = high - low
    if count * count > size:  # drawing rows anew would take long
        clock = rng.random((num, size))
        first = np.argpartition(clock, count - 1, axis=1)[:, :count]  # of which the order is drawn too
        return np.take_along_axis(first, np.take_along_axis(clock, first, 1).argsort(1), 1) + low
    out = rng.integers(low, high, (num, count))
    again = np.arange(num)
    while True:
        ordered = np.sort(out[again], axis=1)
        again = again[(ordered[:, 1:] == ordered[:, :-1]).any(1)]
        if not len(again):
            return out
        out[again] = rng.integers(low, high, (len(again), count))
