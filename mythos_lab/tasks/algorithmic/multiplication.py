"""The product of two numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from torch import Tensor

from mythos_blocks import component
from mythos_blocks.declaring.types import Count, NoneOrMore
from mythos_lab.tasks.algorithmic.digits import Digits, random_digits
from mythos_lab.tasks.base import IGNORE, Batch, Split
from mythos_lab.tasks.generated import Feature, filled, places
from mythos_lab.tasks.ragged import Layout
from mythos_lab.tasks.samples import Samples

_MOST = 9  # digits, for products to fit 64 bits


@component("task", "multiplication")
class Multiplication(Digits):
    """The product of two numbers of equally many digits, digit by digit.

    Args:
        min_digits: Fewest digits in training.
        max_digits: Most digits in training.
        least_first: Write all numbers with the least digit first, so that carries run with the text.
        layout: Whether all digits are asked for at once or each after the ones before it.

    Raises:
        ValueError: ``min_digits`` exceeds ``max_digits``, or products have more than 18 digits.
    """

    sign = "*"

    def __init__(
        self,
        *,
        min_digits: Count = 1,
        max_digits: Annotated[Count, Field(ge=2, le=_MOST)] = 3,
        least_first: bool = True,
        layout: Layout = "parallel",
        ood_range: NoneOrMore = 1,
        **fields: Any,
    ) -> None:
        super().__init__(ood_range=ood_range, **fields)
        self._declare(min_digits, max_digits, 0, 2, least_first, layout)
        if self.top > _MOST:
            raise ValueError(f"max_digits={max_digits} and ood_range={ood_range} must come to at most {_MOST}")

    def draw(self, rng: np.random.Generator, num: int, split: Split) -> Samples:
        digits = self.levels(rng, num, split)
        a, b = random_digits(rng, digits), random_digits(rng, digits)
        power = 10 ** np.arange(a.shape[1])
        product = (a @ power) * (b @ power)
        result = product[:, None] // 10 ** np.arange(2 * a.shape[1]) % 10
        return self.written(a, b, result, digits, split)

    def oracle(self, batch: Batch) -> Tensor:
        first, second, digits = self.operands(batch)
        return filled(batch, self.spelled([a * b for a, b in zip(first, second, strict=True)], digits))

    def shortcuts(self, batch: Batch) -> Mapping[str, Feature]:
        return {"the place": places(batch)[:, None]}

    def partial(self, batch: Batch) -> Mapping[str, Feature]:
        """The first digits of both, which tell of the product's first, and the last ones, which settle its last."""
        scored = (batch.targets != IGNORE).numpy()
        place, rows = places(batch), np.nonzero(scored)[0]
        first, second, digits = (np.array(values) for values in self.operands(batch))
        high = [(value * 10 // 10**digits)[rows] for value in (first, second)]
        return {
            "the place, and the first digits of both": np.stack((place, *high), 1),
            "the place, and the last digits of both": np.stack((place, first[rows] % 10, second[rows] % 10), 1),
        }
