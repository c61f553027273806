"""Which bracket has to close next?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from torch import Tensor

from mythos_blocks import component
from mythos_blocks.declaring.types import Count
from mythos_lab.tasks.base import Array, Batch, Split
from mythos_lab.tasks.generated import Feature, Generated, filled
from mythos_lab.tasks.ragged import Ragged, asked
from mythos_lab.tasks.samples import Samples

ASK = 1
_BRACKETS = 2  # opening ones, then closing ones

_PAIRS = ("()", "[]", "{}", "<>")


@component("task", "dyck")
class Dyck(Generated):
    """A prefix of a well-bracketed string of several types; the answer is the bracket that has to close next.

    Prefixes are uniform among walks of their length and height whose last step closes a bracket, so the answer never
    stands at the end. Of every type equally many brackets are pending: counting does not tell which is innermost.

    Args:
        num_types: Types of brackets.
        min_pending: Fewest pending brackets of each type in training.
        max_pending: Most pending brackets of each type in training.
        num_closed: Brackets of the prefix that are closed again.

    Raises:
        ValueError: ``min_pending`` exceeds ``max_pending``.
    """

    difficulty_name = "pending"

    def __init__(
        self,
        *,
        num_types: Annotated[Count, Field(ge=2, le=len(_PAIRS))] = 2,
        min_pending: Count = 1,
        max_pending: Count = 3,
        num_closed: Annotated[Count, Field(ge=4)] = 8,
        **fields: Any,
    ) -> None:
        super().__init__(**fields)
        self.num_types, self.num_closed = num_types, num_closed
        self.spans(min_pending, max_pending, lambda pending: pending * num_types + 2 * num_closed + 1)
        pairs = _PAIRS[:num_types]
        self.symbols = ("", "?", *(pair[0] for pair in pairs), *(pair[1] for pair in pairs))
        self.vocab_size = len(self.symbols)
        self.answers = tuple(range(_BRACKETS + num_types, _BRACKETS + 2 * num_types))

    @property
    def chance(self) -> float:
        return 1 / self.num_types

    def draw(self, rng: np.random.Generator, num: int, split: Split) -> Samples:
        pending = self.levels(rng, num, split)
        height = pending * self.num_types
        length = height + 2 * self.num_closed
        most, rows = int(length.max(initial=2)), np.arange(num)
        steps = _walks(rng, length - 1, height + 1)
        opens = np.zeros((num, most), dtype=bool)
        opens[:, : steps.shape[1]] = steps
        opens[np.arange(most) >= (length - 1)[:, None]] = False
        kind = rng.integers(0, self.num_types, (num, most))
        # Pending brackets come from a shuffled row with every type equally often.
        tallest = int(height.max(initial=1))
        even = np.where(np.arange(tallest) < height[:, None], np.arange(tallest) % self.num_types, self.num_types)
        even = np.take_along_axis(
            even, np.argsort(np.where(even < self.num_types, rng.random(even.shape), 2.0), axis=1), axis=1
        )
        row, column, below = _pending(opens, length)
        kind[row, column] = even[row, below]
        stack = np.zeros((num, most + 1), dtype=np.int64)
        depth = np.zeros(num, dtype=np.int64)
        tokens = np.zeros((num, most), dtype=np.int64)
        for i in range(most):
            inside = i < length
            up, down = inside & opens[:, i], inside & ~opens[:, i]
            stack[rows[up], depth[up]] = kind[up, i]
            tokens[up, i] = _BRACKETS + kind[up, i]
            depth[up] += 1
            depth[down] -= 1
            tokens[down, i] = _BRACKETS + self.num_types + stack[rows[down], depth[down]]
        answer = _BRACKETS + self.num_types + stack[rows, depth - 1]
        prompt = Ragged(tokens, length)
        shown, targets, real = asked(prompt, Ragged.full(answer), ASK, "parallel", self.width(split))
        return Samples(shown, targets, pending, real=real)

    def oracle(self, batch: Batch) -> Tensor:
        answers = []
        for row in batch.tokens.tolist():
            stack: list[int] = []
            for token in row[: row.index(ASK)]:
                if token < _BRACKETS + self.num_types:
                    stack.append(token)
                else:
                    assert stack.pop() + self.num_types == token
            answers.append(stack[-1] + self.num_types)
        return filled(batch, np.array(answers))

    def shortcuts(self, batch: Batch) -> Mapping[str, Feature]:
        tokens = batch.tokens.numpy()
        rows, end = np.arange(len(tokens)), (tokens == ASK).argmax(1)
        opening = (tokens >= _BRACKETS) & (tokens < _BRACKETS + self.num_types)
        last = np.where(opening, np.arange(tokens.shape[1]), -1).argmax(1)
        counts = np.stack([(tokens == _BRACKETS + i).sum(1) for i in range(self.num_types)], 1)
        return {
            "last bracket": tokens[rows, end - 1][:, None],
            "last opening bracket": tokens[rows, last][:, None],
            "commonest opening bracket": (counts - counts.max(1, keepdims=True) == 0).astype(np.int64),
        }

    def partial(self, batch: Batch) -> Mapping[str, Feature]:
        """The first bracket, which at one pending bracket of two types is the other one of the two."""
        return {"first bracket": batch.tokens.numpy()[:, :1]}


def _walks(rng: np.random.Generator, length: Array, height: Array) -> Array:
    """Uniform walks of ``length`` steps from 0 to ``height`` that never go below 0: booleans, true for up."""
    most = int(length.max(initial=1))
    out = np.zeros((len(length), most), dtype=bool)
    for steps, top in np.unique(np.stack((length, height), 1), axis=0).tolist():
        rows = np.flatnonzero((length == steps) & (height == top))
        # ways[r, h]: walks of r steps from h to the top.
        ways = np.zeros((steps + 1, steps + 2))
        ways[0, top] = 1
        for r in range(1, steps + 1):
            ways[r, :-1] += ways[r - 1, 1:]
            ways[r, 1:] += ways[r - 1, :-1]
        at = np.zeros(len(rows), dtype=np.int64)
        for i in range(steps):
            left = steps - i
            up = rng.random(len(rows)) * ways[left, at] < ways[left - 1, at + 1]
            out[rows, i] = up
            at += np.where(up, 1, -1)
    return out


def _pending(opens: Array, length: Array) -> tuple[Array, Array, Array]:
    """Rows and columns of the brackets that stay open, and how many such are below each."""
    inside = np.arange(opens.shape[1]) < length[:, None]
    level = np.cumsum(np.where(inside, np.where(opens, 1, -1), 0), 1)
    # A bracket stays open if the walk never returns below the level that it reached.
    lowest = np.minimum.accumulate(np.where(inside, level, level.max() + 1)[:, ::-1], axis=1)[:, ::-1]
    row, column = np.nonzero(inside & opens & (lowest >= level))
    return row, column, level[row, column] - 1
