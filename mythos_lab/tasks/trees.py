"""Random trees, all nodes of one height at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mythos_lab.tasks.base import Array


def allocate(height: Array, children: Callable[[int, int], Array]) -> tuple[Array, Array, list[tuple[Array, Array]]]:
    """Places for the nodes of trees of given heights, so that all nodes of one height can be made at once.

    Args:
        height: The height of each tree, ``(trees,)``.
        children: ``children(h, n)`` draws the heights ``(n, most)`` of the children of n nodes of height h; below h,
            and -1 where there is none.

    Returns:
        The place of each root among the nodes of its height; the number of nodes of each height; and for each height
        from 1 up the heights and the places of the children, ``(nodes, most)`` each.
    """
    top = int(height.max(initial=0))
    size = np.bincount(height, minlength=top + 1)
    root = np.empty(len(height), dtype=np.int64)
    for h in range(top + 1):
        root[height == h] = np.arange(size[h])
    links = []
    for h in range(top, 0, -1):
        below = children(h, int(size[h]))
        place = np.zeros_like(below)
        for k in range(h):
            here = below == k
            count = int(here.sum())
            place[here] = size[k] + np.arange(count)
            size[k] += count
        links.append((below, place))
    return root, size, links[::-1]


def mostly_shallow(rng: np.random.Generator, height: int, shape: tuple[int, ...]) -> Array:
    """Heights k below ``height`` with weight 2^(height - 1 - k): most are leaves."""
    weight = 2.0 ** -np.arange(height)
    return np.searchsorted(np.cumsum(weight / weight.sum()), rng.random(shape), side="right").clip(0, height - 1)


def in_any_order(rng: np.random.Generator, rows: Array) -> Array:
    """Each row in a random order, entries below 0 last."""
    key = np.where(rows >= 0, rng.random(rows.shape), 2.0)
    return np.take_along_axis(rows, np.argsort(key, axis=1), axis=1)
