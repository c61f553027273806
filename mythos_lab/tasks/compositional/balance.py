"""As many positives as negatives, within every kind of sample that tells something about the label."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from mythos_lab.tasks.base import Array

T = TypeVar("T")

_CELLS = 1 << 16
_ROUNDS, _MAX_ROUNDS = 12, 240
_FEWEST = 512  # candidates drawn at once: many small draws cost more than a few spare ones


def balanced_rows(
    rng: np.random.Generator,
    draw: Callable[[Array], tuple[T, Array, Array]],
    wanted: Array,
    level: Array,
    pool: Callable[[list[T], Array, Array], T],
) -> T:
    """Rows whose label is the wanted one, in cells that tell nothing about it.

    The first draw settles each row's cell, and nothing else. Further draws are dealt out to rows of the same level,
    cell and wanted label. Where a cell has hardly any of one label, the rows that wait for it give the cell up, and
    with them those of the other label that are too many there, for cells in which others of their level have been
    served; so what is left of every cell is as often true as false.

    Args:
        draw: Rows to candidates, labels ``(rows,)`` of 0 and 1, and cells ``(rows,)``, small integers.
        wanted: The label of each row, drawn evenly.
        level: The difficulty of each row.
        pool: Rows by (part, place) from parts.

    Raises:
        ValueError: Hardly any cell of a difficulty has both labels.
    """
    cell = draw(np.arange(len(wanted)))[2]
    which, place = np.zeros((2, len(wanted)), dtype=np.int64)
    open_ = np.arange(len(wanted))
    parts: list[T] = []
    for round_ in range(1, _MAX_ROUNDS + 1):
        rows = np.resize(open_, max(len(open_), _FEWEST))
        candidates, label, found = draw(rows)
        given, taken = _matches(_keys(level[rows], found, label), _keys(level[open_], cell[open_], wanted[open_]))
        which[open_[taken]], place[open_[taken]] = len(parts), given
        parts.append(candidates)
        open_ = np.delete(open_, taken)
        if not len(open_):
            return pool(parts, which, place)
        if round_ % _ROUNDS == 0:
            given_up = _surplus(_keys(level, cell, wanted), open_)
            open_ = np.concatenate((open_, given_up))
            done = np.setdiff1d(np.arange(len(wanted)), open_)
            cell[open_] = _cells_of_others(rng, level, cell, done, open_)
    raise ValueError(f"hardly any sample of difficulty {int(level[open_[0]])} has the label that balance asks for")


def _surplus(keys: Array, open_: Array) -> Array:
    """In cells where rows wait for a label: the rows that have the other one and are more than those that have it."""
    waiting = np.unique(keys[open_] // 2)
    done = np.setdiff1d(np.arange(len(keys)), open_)
    done = done[np.isin(keys[done] // 2, waiting)]
    surplus = []
    for cell in waiting.tolist():
        zero, one = (done[keys[done] == 2 * cell + label] for label in (0, 1))
        more, fewer = (zero, one) if len(zero) > len(one) else (one, zero)
        surplus.append(more[len(fewer) :])
    return np.concatenate(surplus)


def _cells_of_others(rng: np.random.Generator, level: Array, cell: Array, done: Array, rows: Array) -> Array:
    """For each row, the cell of a random one at its level that is done; its own where none is."""
    chosen = cell[rows]
    for value in np.unique(level[rows]).tolist():
        known = done[level[done] == value]
        here = level[rows] == value
        if len(known):
            chosen[here] = cell[rng.choice(known, int(here.sum()))]
    return chosen


def _keys(level: Array, cell: Array, label: Array) -> Array:
    return (level * _CELLS + cell) * 2 + label


def _matches(offered: Array, asked: Array) -> tuple[Array, Array]:
    """Places in ``offered`` and in ``asked`` of equal keys, each used once, in order."""
    columns = []
    apart = max(len(offered), len(asked), 1)
    for keys in (offered, asked):
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        start = np.r_[True, ordered[1:] != ordered[:-1]]
        rank = np.arange(len(keys)) - np.maximum.accumulate(np.where(start, np.arange(len(keys)), 0))
        columns.append((order, ordered * apart + rank))
    (first, a), (second, b) = columns
    _, i, j = np.intersect1d(a, b, assume_unique=True, return_indices=True)
    return first[i], second[j]
