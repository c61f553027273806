"""What is the value of a nested boolean expression?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from mythos_blocks import component
from mythos_blocks.declaring.types import Count
from mythos_lab.tasks.base import Array, Batch, Split
from mythos_lab.tasks.compositional.balance import balanced_rows
from mythos_lab.tasks.generated import Feature, Generated, filled
from mythos_lab.tasks.ragged import PAD, Ragged, asked, chosen, chosen_rows, join
from mythos_lab.tasks.samples import Samples
from mythos_lab.tasks.trees import allocate, in_any_order, mostly_shallow

TRUE, FALSE, NOT, AND, OR, OPEN, CLOSE, ASK = range(1, 9)

_NEGATED = 0.25  # of the nested expressions
_ROUNDS = 64


@dataclass
class _Expressions:
    """Expressions of one depth.

    An atom ``a | b`` without parentheses falls apart when ``&`` joins it to something. So a value is a pair that
    stands for ``first or second``; of anything that holds together, ``second`` is false.
    """

    text: Ragged
    first: Array
    second: Array

    def __getitem__(self, rows: Any) -> _Expressions:
        return _Expressions(self.text[rows], self.first[rows], self.second[rows])


@component("task", "boolean")
class Boolean(Generated):
    """Nested boolean expressions, by the grammar of arXiv 2603.21676, with ! before & before |.

    An atom is T or F (.5), !T or !F (.25), or two of T and F joined by & or | (.25). An expression of depth d joins
    one of depth d - 1 and one of depth k, drawn with weight 2^(d-1-k), in either order, in parentheses, and is
    negated with probability .25. Expressions longer than ``max_length`` are rejected. The answer is read after the
    expression, so models that see only earlier positions can be asked too.

    As published, the outermost operator and whether it is negated give three of four answers at every depth: an "and"
    is mostly false. ``balanced`` accepts as many true as false expressions of every depth, outermost operator and
    negation, majority among T and F and among & and |, and parity of !. A recipe without it has to waive
    ``task.shortcut``.

    Args:
        min_depth: Least nesting in training.
        max_depth: Largest nesting in training.
        max_length: Most tokens of an expression in training; out of distribution it grows with the depth.
        balanced: Balance the labels; ``false`` draws as published.

    Raises:
        ValueError: ``min_depth`` exceeds ``max_depth``, or no expression of that depth is so short.
    """

    vocab_size = 9
    symbols = ("", "T", "F", "!", "&", "|", "(", ")", "?")
    difficulty_name = "depth"
    difficulty_is_depth = True
    answers = (TRUE, FALSE)
    compositional = True
    ragged = True

    def __init__(
        self,
        *,
        min_depth: Count = 1,
        max_depth: Count = 4,
        max_length: Count = 48,
        balanced: bool = True,
        **fields: Any,
    ) -> None:
        super().__init__(**fields)
        self.balanced, self.max_length, self.max_depth = balanced, max_length, max_depth
        self.spans(min_depth, max_depth, lambda depth: self.longest(depth) + 1)
        if max_length < 4 * max_depth + 1:
            raise ValueError(f"max_length={max_length} must be at least 4 max_depth + 1 = {4 * max_depth + 1}")
        self.max_shortcut = 0.1 if balanced else 0.8

    @property
    def chance(self) -> float:
        return 0.5 if self.balanced else super().chance

    def longest(self, depth: int) -> int:
        """Most tokens of an expression of a depth."""
        return self.max_length + max(0, depth - self.max_depth) * self.max_length // self.max_depth

    def draw(self, rng: np.random.Generator, num: int, split: Split) -> Samples:
        depth = self.levels(rng, num, split)
        if not self.balanced:
            parts = self._short_ones(rng, depth)
        else:
            wanted = rng.integers(0, 2, num)

            def draw(rows: Array) -> tuple[_Expressions, Array, Array]:
                one = self._short_ones(rng, depth[rows])
                return one, one.first.astype(np.int64), _glance(one.text)

            parts = balanced_rows(rng, draw, wanted, depth, _chosen)
        value = np.where(parts.first, TRUE, FALSE)
        tokens, targets, real = asked(parts.text, Ragged.full(value), ASK, "parallel", self.width(split))
        return Samples(tokens, targets, depth, real=real)

    def oracle(self, batch: Batch) -> Tensor:
        rows = batch.tokens.tolist()
        return filled(batch, np.array([TRUE if evaluate(row[: row.index(ASK)]) else FALSE for row in rows]))

    def shortcuts(self, batch: Batch) -> Mapping[str, Feature]:
        tokens = batch.tokens.numpy()
        length = (tokens != PAD).sum(1) - 1
        text = Ragged(tokens, length)
        counts = np.stack([(tokens == token).sum(1) for token in (TRUE, FALSE)], 1)
        return {
            "length": length[:, None],
            "outermost operator and negation": _outermost(text)[:, None],
            "outermost operator, majorities and parity of !": _glance(text)[:, None],
            "share of T, in tenths": (10 * counts[:, 0] // counts.sum(1))[:, None],
        }

    def _short_ones(self, rng: np.random.Generator, depth: Array) -> _Expressions:
        out = _expressions(rng, depth)
        for _ in range(_ROUNDS):
            limit = np.array([self.longest(d) for d in range(int(depth.max(initial=0)) + 1)])[depth]
            long = np.flatnonzero(out.text.lengths > limit)
            if not len(long):
                return out
            again = _expressions(rng, depth[long])
            out = _chosen([out, again], *_replaced(len(depth), long))
        raise ValueError(f"max_length={self.max_length} leaves hardly any expression of depth {int(depth.max())}")


def _expressions(rng: np.random.Generator, depth: Array) -> _Expressions:
    """One expression of each depth."""

    def children(d: int, n: int) -> Array:
        other = mostly_shallow(rng, d, (n, 1))
        return in_any_order(rng, np.concatenate((np.full((n, 1), d - 1), other), 1))

    root, size, links = allocate(depth, children)
    built = [_atoms(rng, int(size[0]))]
    for below, place in links:
        left, right = (_chosen(built, below[:, side], place[:, side]) for side in (0, 1))
        built.append(_nested(rng, left, right))
    return _chosen(built, depth, root)


def _atoms(rng: np.random.Generator, num: int) -> _Expressions:
    shape = rng.random(num)
    a, b, conjoined = rng.integers(0, 2, (3, num)).astype(bool)
    single, negated = shape < 0.5, (shape >= 0.5) & (shape < 0.75)
    literal = np.where(a, TRUE, FALSE)
    text = np.stack(
        (
            np.where(negated, NOT, literal),
            np.where(negated, literal, np.where(conjoined, AND, OR)),
            np.where(b, TRUE, FALSE),
        ),
        1,
    )
    length = np.where(single, 1, np.where(negated, 2, 3))
    joined = length == 3
    first = np.where(negated, ~a, np.where(joined & conjoined, a & b, a))
    return _Expressions(Ragged(text, length), first, joined & ~conjoined & b)


def _nested(rng: np.random.Generator, left: _Expressions, right: _Expressions) -> _Expressions:
    n = len(left.first)
    conjoined = rng.integers(0, 2, n).astype(bool)
    negated = rng.random(n) < _NEGATED
    # "x | y & z | w" is x | (y & z) | w: what "&" joins are the right end of the left and the left end of the right.
    split = left.text.lengths == 3
    split &= left.text.values[:, 1 if left.text.values.shape[1] > 1 else 0] == OR
    outer, inner = np.where(split, left.first, False), np.where(split, left.second, left.first)
    value = np.where(
        conjoined,
        outer | (inner & right.first) | right.second,
        left.first | left.second | right.first | right.second,
    )

    def sign(token: Any) -> Ragged:
        return Ragged.full(np.broadcast_to(token, (n,)))

    bang = Ragged(np.full((n, 1), NOT), negated.astype(np.int64))
    text = join(bang, sign(OPEN), left.text, sign(np.where(conjoined, AND, OR)), right.text, sign(CLOSE))
    return _Expressions(text, value ^ negated, np.zeros(n, dtype=bool))


def _chosen(parts: list[_Expressions], which: Array, place: Array) -> _Expressions:
    """Row i is row ``place[i]`` of ``parts[which[i]]``."""
    return _Expressions(
        chosen_rows([part.text for part in parts], which, place),
        chosen([part.first for part in parts], which, place),
        chosen([part.second for part in parts], which, place),
    )


def _replaced(num: int, rows: Array) -> tuple[Array, Array]:
    """Index of ``num`` rows of which some come from a second part, in its order."""
    which, place = np.zeros(num, dtype=np.int64), np.arange(num)
    which[rows], place[rows] = 1, np.arange(len(rows))
    return which, place


def _outermost(text: Ragged) -> Array:
    """The outermost operator, and whether it is negated, as one integer."""
    tokens = np.where(text.inside(), text.values, PAD)
    level = np.cumsum(tokens == OPEN, 1) - np.cumsum(tokens == CLOSE, 1)
    operator = (level == 1) & np.isin(tokens, (AND, OR))
    # Atoms without parentheses hold operators too. Of several at the same level, | binds last.
    loosest = ((tokens == OR) & operator).any(1)
    return 2 * loosest + (tokens[:, 0] == NOT)


def _glance(text: Ragged) -> Array:
    """What is seen without parsing, as one integer: the outermost operator, majorities, and the parity of !."""
    tokens = np.where(text.inside(), text.values, PAD)
    true, false, bang, conjunction, disjunction = ((tokens == t).sum(1) for t in (TRUE, FALSE, NOT, AND, OR))
    majorities = 3 * (np.sign(true - false) + 1) + np.sign(conjunction - disjunction) + 1
    return (_outermost(text) * 9 + majorities) * 2 + bang % 2


def evaluate(tokens: list[int]) -> bool:
    """The value of an expression by recursive descent."""
    value, end = _disjunction(tokens, 0)
    assert end == len(tokens)
    return value


def _disjunction(tokens: list[int], at: int) -> tuple[bool, int]:
    value, at = _conjunction(tokens, at)
    while at < len(tokens) and tokens[at] == OR:
        right, at = _conjunction(tokens, at + 1)
        value = value or right
    return value, at


def _conjunction(tokens: list[int], at: int) -> tuple[bool, int]:
    value, at = _unit(tokens, at)
    while at < len(tokens) and tokens[at] == AND:
        right, at = _unit(tokens, at + 1)
        value = value and right
    return value, at


def _unit(tokens: list[int], at: int) -> tuple[bool, int]:
    if tokens[at] == NOT:
        value, at = _unit(tokens, at + 1)
        return not value, at
    if tokens[at] == OPEN:
        value, at = _disjunction(tokens, at + 1)
        assert tokens[at] == CLOSE
        return value, at + 1
    return tokens[at] == TRUE, at + 1
