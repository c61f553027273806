"""Nested operations on lists of digits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from torch import Tensor

from mythos_blocks import component
from mythos_blocks.declaring.types import Count
from mythos_lab.tasks.base import Array, Batch, Split
from mythos_lab.tasks.generated import Feature, Generated, filled
from mythos_lab.tasks.ragged import PAD, Ragged, asked, chosen, chosen_rows, join
from mythos_lab.tasks.samples import Samples
from mythos_lab.tasks.trees import allocate, in_any_order, mostly_shallow

ASK, CLOSE, MAX, MIN, MED, SUM = range(1, 7)
_DIGITS = 7

_ROUNDS = 64


@dataclass
class _Lists:
    """Expressions of one depth, and their values."""

    text: Ragged
    value: Array


@component("task", "listops_lite")
class ListOpsLite(Generated):
    """ListOps (Nangia and Bowman, arXiv 1804.06028) made small: the maximum, minimum, median or sum modulo 10 of lists.

    A list of depth d has one entry of depth d - 1 and others that are mostly digits. The median of an even number of
    values is the mean of the two middle ones, rounded down. Maxima are mostly large and minima small: the
    outermost operator tells a good part, as in the original; the audit says how much.

    Args:
        min_depth: Least nesting in training.
        max_depth: Largest nesting in training.
        max_entries: Most entries of a list.
        max_length: Most tokens in training; out of distribution it grows with the depth.

    Raises:
        ValueError: ``min_depth`` exceeds ``max_depth``, or ``max_length`` leaves hardly any expression.
    """

    difficulty_name = "depth"
    difficulty_is_depth = True
    vocab_size = _DIGITS + 10
    symbols = ("", "?", "]", "[MAX", "[MIN", "[MED", "[SM", *map(str, range(10)))
    answers = tuple(range(_DIGITS, _DIGITS + 10))
    max_shortcut = 0.2
    ragged = True

    def __init__(
        self,
        *,
        min_depth: Count = 1,
        max_depth: Count = 3,
        max_entries: Annotated[Count, Field(ge=2, le=10)] = 4,
        max_length: Count = 48,
        **fields: Any,
    ) -> None:
        super().__init__(**fields)
        self.max_entries, self.max_length, self.max_depth = max_entries, max_length, max_depth
        if max_length < 3 * max_depth + 1:
            raise ValueError(f"max_length={max_length} must be at least 3 max_depth + 1 = {3 * max_depth + 1}")
        self.spans(min_depth, max_depth, lambda depth: self.longest(depth) + 1)

    def longest(self, depth: int) -> int:
        """Most tokens of an expression of a depth."""
        return self.max_length + max(0, depth - self.max_depth) * self.max_length // self.max_depth

    def draw(self, rng: np.random.Generator, num: int, split: Split) -> Samples:
        depth = self.levels(rng, num, split)
        limit = np.array([self.longest(d) for d in range(self.top + 1)])[depth]
        width = self.width(split)
        text, lengths = np.zeros((num, width), dtype=np.int64), np.zeros(num, dtype=np.int64)
        value = np.zeros(num, dtype=np.int64)
        open_ = np.arange(num)
        for _ in range(_ROUNDS):
            drawn = self._lists(rng, depth[open_])
            short = drawn.text.lengths <= limit[open_]
            rows = open_[short]
            text[rows] = drawn.text.padded(width)[short]
            lengths[rows], value[rows] = drawn.text.lengths[short], drawn.value[short]
            open_ = open_[~short]
            if not len(open_):
                break
        else:
            raise ValueError(f"max_length={self.max_length} leaves hardly any list of depth {int(depth[open_].max())}")
        answer = Ragged.full(value + _DIGITS)
        tokens, targets, real = asked(Ragged(text, lengths), answer, ASK, "parallel", width)
        return Samples(tokens, targets, depth, real=real)

    def _lists(self, rng: np.random.Generator, depth: Array) -> _Lists:
        def children(d: int, n: int) -> Array:
            entries = rng.integers(2, self.max_entries + 1, (n, 1))
            other = mostly_shallow(rng, d, (n, self.max_entries - 1))
            other[np.arange(1, self.max_entries) >= entries] = -1
            return in_any_order(rng, np.concatenate((np.full((n, 1), d - 1), other), 1))

        root, size, links = allocate(depth, children)
        digits = rng.integers(0, 10, int(size[0]))
        built = [_Lists(Ragged.full(digits + _DIGITS), digits)]
        for below, place in links:
            built.append(_joined(rng, built, below, place))
        return _chosen(built, depth, root)

    def oracle(self, batch: Batch) -> Tensor:
        return filled(batch, np.array([_DIGITS + _evaluate(row[: row.index(ASK)]) for row in batch.tokens.tolist()]))

    def shortcuts(self, batch: Batch) -> Mapping[str, Feature]:
        tokens = batch.tokens.numpy()
        return {"outermost operator": tokens[:, :1], "length": (tokens != PAD).sum(1)[:, None]}

    def partial(self, batch: Batch) -> Mapping[str, Feature]:
        """The largest and the least digit, which answer flat maxima and minima."""
        tokens = batch.tokens.numpy()
        digits = np.stack([(tokens == _DIGITS + i).any(1) for i in range(10)], 1)
        largest, least = 9 - digits[:, ::-1].argmax(1), digits.argmax(1)
        return {"outermost operator, largest and least digit": np.stack((tokens[:, 0], largest, least), 1)}


def _joined(rng: np.random.Generator, built: list[_Lists], below: Array, place: Array) -> _Lists:
    n, most = below.shape
    operator = rng.integers(MAX, SUM + 1, size=(n,))
    entries = [_chosen(built, below[:, i], place[:, i]) for i in range(most)]
    present = below >= 0
    values = np.stack([entry.value for entry in entries], 1)
    count = present.sum(1)
    ordered = np.sort(np.where(present, values, 99), axis=1)
    middle = [np.take_along_axis(ordered, k[:, None], axis=1)[:, 0] for k in ((count - 1) // 2, count // 2)]
    results = (
        np.where(present, values, -1).max(1),
        ordered[:, 0],
        (middle[0] + middle[1]) // 2,
        np.where(present, values, 0).sum(1) % 10,
    )
    text = join(
        Ragged.full(operator), *(entry.text for entry in entries), Ragged.full(np.full(n, CLOSE, dtype=np.int64))
    )
    return _Lists(text, np.choose(operator - MAX, results))


def _chosen(parts: list[_Lists], which: Array, place: Array) -> _Lists:
    """Row i is row ``place[i]`` of ``parts[which[i]]``; nothing where ``which`` is below 0."""
    text = chosen_rows([part.text for part in parts], which, place)
    return _Lists(text, chosen([part.value for part in parts], which, place))


def _evaluate(tokens: list[int]) -> int:
    stack: list[list[int]] = [[]]
    for token in tokens:
        if token >= _DIGITS:
            stack[-1].append(token - _DIGITS)
        elif token != CLOSE:
            stack.append([token])
        else:
            operator, *values = stack.pop()
            values.sort()
            half = len(values) // 2
            stack[-1].append(
                {
                    MAX: values[-1],
                    MIN: values[0],
                    MED: (values[half] + values[(len(values) - 1) // 2]) // 2,
                    SUM: sum(values) % 10,
                }[operator]
            )
    return stack[0][0]
