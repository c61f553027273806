"""The sum of two long numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from torch import Tensor

from mythos_blocks import component
from mythos_blocks.declaring.types import Count, NoneOrMore
from mythos_lab.tasks.algorithmic.digits import OPERATOR, ZERO, Digits, random_digits
from mythos_lab.tasks.base import IGNORE, Array, Batch, Split
from mythos_lab.tasks.generated import Feature, filled, places
from mythos_lab.tasks.ragged import Layout
from mythos_lab.tasks.samples import Samples


@component("task", "addition")
class Addition(Digits):
    """The sum of two numbers of equally many digits, digit by digit.

    Args:
        min_digits: Fewest digits in training.
        max_digits: Most digits in training.
        least_first: Write all numbers with the least digit first, so that carries run with the text.
        layout: Whether all digits are asked for at once or each after the ones before it.

    Raises:
        ValueError: ``min_digits`` exceeds ``max_digits``.
    """

    sign = "+"

    def __init__(
        self,
        *,
        min_digits: Count = 1,
        max_digits: Annotated[Count, Field(ge=2)] = 6,
        least_first: bool = True,
        layout: Layout = "parallel",
        ood_range: NoneOrMore = 4,
        **fields: Any,
    ) -> None:
        super().__init__(ood_range=ood_range, **fields)
        self._declare(min_digits, max_digits, 1, 1, least_first, layout)

    def draw(self, rng: np.random.Generator, num: int, split: Split) -> Samples:
        digits = self.levels(rng, num, split)
        a, b = random_digits(rng, digits), random_digits(rng, digits)
        total, longest = added(a, b)
        return self.written(a, b, total, digits, split, carries=longest)

    def oracle(self, batch: Batch) -> Tensor:
        first, second, digits = self.operands(batch)
        return filled(batch, self.spelled([a + b for a, b in zip(first, second, strict=True)], digits))

    def shortcuts(self, batch: Batch) -> Mapping[str, Feature]:
        return {"the place": places(batch)[:, None]}

    def partial(self, batch: Batch) -> Mapping[str, Feature]:
        """The two digits of an answer's own place: all but the carry."""
        tokens = batch.tokens.numpy()
        scored = (batch.targets != IGNORE).numpy()
        digits = (tokens == OPERATOR).argmax(1)
        row, column = np.nonzero(scored)
        place = column - (2 * digits + 1)[row] - (0 if self.least_first else 1)
        inside = (place >= 0) & (place < digits[row])
        own = [
            np.where(inside, tokens[row, (start + place).clip(0, tokens.shape[1] - 1)] - ZERO, 0)
            for start in (0, digits[row] + 1)
        ]
        return {"the two digits of the place": np.stack((own[0] + own[1], inside), 1)}


def added(a: Array, b: Array) -> tuple[Array, Array]:
    """Digits of the sum, one more than the operands have, the least first; and the longest run of carries."""
    num, most = a.shape
    total = np.zeros((num, most + 1), dtype=np.int64)
    carry, run, longest = np.zeros((3, num), dtype=np.int64)
    for i in range(most):
        value = a[:, i] + b[:, i] + carry
        total[:, i], carry = value % 10, value // 10
        run = (run + 1) * carry
        longest = np.maximum(longest, run)
    total[:, most] = carry
    return total, longest
