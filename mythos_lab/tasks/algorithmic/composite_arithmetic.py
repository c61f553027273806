"""One-digit composites, with what probes of the intermediate result need to know."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from operator import add, mul, sub
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from torch import Tensor

from mythos_blocks import component
from mythos_lab.tasks.base import Array, Batch, Split
from mythos_lab.tasks.generated import Feature, Generated, filled
from mythos_lab.tasks.ragged import Ragged, asked
from mythos_lab.tasks.samples import Samples

ASK, OPEN, CLOSE, PLUS, MINUS, TIMES = range(1, 7)
ZERO = 7  # the token of the digit 0


@component("task", "composite_arithmetic")
class CompositeArithmetic(Generated):
    """``(a op b) op c`` with one-digit operands and one-digit results, as Lu et al. (arXiv 2507.02199) probe it.

    Intermediate and final result are drawn first, evenly and independently, and then an expression that has them:
    so neither is told by the other, and "0" is no commoner than "7" (in the published sample, 23 of 67 intermediate
    results are 0). ``records`` hold, for each sample, the digits ``intermediate``, ``final``, ``operands`` (three), and
    ``control``: a digit that occurs neither in the expression nor in the results, against which a probe's rank of the
    intermediate result is to be compared. ``distinct`` leaves out expressions in which the intermediate result is also
    an operand or the final result, where a probe could not tell them apart.

    Args:
        times: Whether products occur.
        distinct: Leave out expressions whose intermediate result is seen elsewhere.
    """

    vocab_size = ZERO + 10
    symbols = ("", "=", "(", ")", "+", "-", "*", *map(str, range(10)))
    answers = tuple(range(ZERO, ZERO + 10))
    chance = 0.1
    max_shortcut = 0.25  # of the final result by the second operator and operand

    def __init__(
        self,
        *,
        times: bool = True,
        distinct: bool = False,
        ood_range: Annotated[int, Field(le=0, ge=0)] = 0,
        **fields: Any,
    ) -> None:
        super().__init__(ood_range=ood_range, **fields)
        self.times, self.distinct = times, distinct
        self.positions = 8

    def draw(self, rng: np.random.Generator, num: int, split: Split) -> Samples:
        table, start, count = _expressions(self.times, self.distinct)
        results = np.flatnonzero(count)
        pair = results[rng.integers(0, len(results), num)]
        a, first, b, second, c = table[start[pair] + rng.integers(0, count[pair])].T
        intermediate, final = pair // 10, pair % 10
        filler = np.zeros(num, dtype=np.int64)
        prompt = np.stack((OPEN + filler, ZERO + a, first, ZERO + b, CLOSE + filler, second, ZERO + c), 1)
        tokens, targets, _ = asked(Ragged.full(prompt), Ragged.full(ZERO + final), ASK, "parallel", self.positions)
        seen = np.zeros((num, 10), dtype=bool)
        for digit in (a, b, c, intermediate, final):
            seen[np.arange(num), digit] = True
        control = np.where(seen, 2.0, rng.random((num, 10))).argmin(1)
        return Samples(
            tokens,
            targets,
            slices={"intermediate": intermediate, "operators": 3 * (first - PLUS) + second - PLUS},
            records={
                "intermediate": ZERO + intermediate,
                "final": ZERO + final,
                "operands": ZERO + np.stack((a, b, c), 1),
                "control": ZERO + control,
            },
        )

    def oracle(self, batch: Batch) -> Tensor:
        apply = {PLUS: add, MINUS: sub, TIMES: mul}
        return filled(
            batch,
            np.array(
                [
                    ZERO + apply[second](apply[first](a - ZERO, b - ZERO), c - ZERO)
                    for _, a, first, b, _, second, c, _ in batch.tokens.tolist()
                ]
            ),
        )

    def shortcuts(self, batch: Batch) -> Mapping[str, Feature]:
        tokens = batch.tokens.numpy()
        return {
            "second operator and last operand": tokens[:, 5:7],
            "first operator and operands": tokens[:, 1:4],
            "operators": tokens[:, (2, 5)],
        }


@lru_cache(maxsize=4)
def _expressions(times: bool, distinct: bool) -> tuple[Array, Array, Array]:
    """Expressions ``(a, op, b, op, c)``, and by results ``10 intermediate + final`` where they begin and how many."""
    digits = np.arange(10)
    operators = (PLUS, MINUS, TIMES) if times else (PLUS, MINUS)
    a, first, b, second, c = (axis.reshape(-1) for axis in np.meshgrid(digits, operators, digits, operators, digits))
    middle = np.choose(first - PLUS, (a + b, a - b, a * b))
    final = np.choose(second - PLUS, (middle + c, middle - c, middle * c))
    kept = (middle >= 0) & (middle <= 9) & (final >= 0) & (final <= 9)
    if distinct:
        kept &= (middle != a) & (middle != b) & (middle != c) & (middle != final)
    pair = (10 * middle + final)[kept]
    order = np.argsort(pair, kind="stable")
    table = np.stack((a, first, b, second, c), 1)[kept][order]
    count = np.bincount(pair, minlength=100)
    return table, np.cumsum(count) - count, count
