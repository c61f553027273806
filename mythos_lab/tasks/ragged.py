"""Rows of different lengths, joined all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mythos_lab.tasks.base import IGNORE, Array

PAD = 0
"""Fills rows to equal length in every generated task; never scored."""

Layout = Literal["parallel", "autoregressive"]


@dataclass(frozen=True)
class Ragged:
    """Rows of different lengths.

    Attributes:
        values: ``(rows, width)``; what lies beyond a row's length is meaningless.
        lengths: ``(rows,)``.
    """

    values: Array
    lengths: Array

    @classmethod
    def full(cls, values: Array) -> Ragged:
        """Rows of equal length, ``(rows, width)``; a vector is a column."""
        values = values[:, None] if values.ndim == 1 else values
        return cls(values, np.full(len(values), values.shape[1]))

    def __getitem__(self, rows: Any) -> Ragged:
        return Ragged(self.values[rows], self.lengths[rows])

    def padded(self, width: int, fill: int = PAD) -> Array:
        """``(rows, width)``."""
        out = np.full((len(self.values), width), fill, dtype=np.int64)
        seen = min(width, self.values.shape[1])
        out[:, :seen] = self.values[:, :seen]
        out[np.arange(width) >= self.lengths[:, None]] = fill
        return out

    def inside(self) -> NDArray[np.bool_]:
        """Where there is a value, ``(rows, width)``."""
        mask: NDArray[np.bool_] = np.arange(self.values.shape[1]) < self.lengths[:, None]
        return mask


def chosen(parts: Sequence[Array], which: Array, place: Array) -> Array:
    """Row i is row ``place[i]`` of ``parts[which[i]]``; zeros where ``which`` is below 0."""
    starts = np.cumsum([0, *(len(part) for part in parts)])[:-1]
    present = which >= 0
    rows = np.concatenate(parts)[np.where(present, starts[which] + place, 0)]
    rows[~present] = 0
    return rows


def chosen_rows(parts: Sequence[Ragged], which: Array, place: Array) -> Ragged:
    """The same for rows of different lengths."""
    lengths = chosen([part.lengths for part in parts], which, place)
    out = np.full((len(which), int(lengths.max(initial=1))), PAD)
    for k, part in enumerate(parts):
        rows = np.flatnonzero(which == k)
        seen = min(out.shape[1], part.values.shape[1])
        out[rows, :seen] = part.values[place[rows], :seen]
    return Ragged(out, lengths)


def join(*parts: Ragged) -> Ragged:
    """Each row's parts one after the other."""
    lengths = np.sum([part.lengths for part in parts], axis=0)
    out = np.full((len(lengths), int(lengths.max(initial=0))), PAD, dtype=np.int64)
    start = np.zeros(len(lengths), dtype=np.int64)
    for part in parts:
        rows, columns = np.nonzero(part.inside())
        out[rows, start[rows] + columns] = part.values[rows, columns]
        start = start + part.lengths
    return Ragged(out, lengths)


def flipped(values: Array, lengths: Array) -> Array:
    """Each row's first ``lengths`` entries in reverse."""
    column = lengths[:, None] - 1 - np.arange(values.shape[1])
    return np.take_along_axis(values, column.clip(0), axis=1)


def asked(prompt: Ragged, answer: Ragged, ask: int, layout: Layout, width: int) -> tuple[Array, Array, Array]:
    """Tokens and targets ``(rows, width)`` of a prompt that is followed by places for its answer, and where both are.

    ``parallel``: every place holds ``ask``, and the answer is read there all at once. ``autoregressive``: the first
    place holds ``ask`` and each further one the answer before it, for models that see earlier positions only.
    """
    shown = np.full_like(answer.values, ask)
    if layout == "autoregressive":
        shown[:, 1:] = answer.values[:, :-1]
    text = join(prompt, Ragged(shown, answer.lengths))
    blank = Ragged(np.full_like(prompt.values, IGNORE), prompt.lengths)
    targets = join(blank, answer).padded(width, fill=IGNORE)
    return text.padded(width), targets, np.arange(width) < text.lengths[:, None]
