"""The sum of many numbers modulo a base."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from torch import Tensor

from mythos_blocks import component
from mythos_blocks.declaring.types import Count, NoneOrMore
from mythos_lab.tasks.base import Batch, Split
from mythos_lab.tasks.generated import Feature, Generated, enough, filled
from mythos_lab.tasks.ragged import Ragged, asked
from mythos_lab.tasks.samples import Samples

ASK = 1
_NUMBERS = 2


@component("task", "modular_addition")
class ModularAddition(Generated):
    """The sum of n numbers modulo a base (n-ary addition of Saunshi et al., arXiv 2502.17416), read after them.

    Args:
        base: Numbers are below it.
        min_operands: Fewest numbers in training.
        max_operands: Most numbers in training.

    Raises:
        ValueError: ``min_operands`` exceeds ``max_operands``, or there are too few sums for three splits.
    """

    difficulty_name = "operands"

    def __init__(
        self,
        *,
        base: Annotated[Count, Field(ge=2)] = 7,
        min_operands: Annotated[Count, Field(ge=2)] = 2,
        max_operands: Count = 8,
        ood_range: NoneOrMore = 8,
        **fields: Any,
    ) -> None:
        super().__init__(ood_range=ood_range, **fields)
        self.base = base
        self.spans(min_operands, max_operands, lambda operands: operands + 1)
        enough(base ** min(max_operands, 6), f"base={base} and max_operands={max_operands}")
        self.vocab_size = _NUMBERS + base
        self.symbols = ("", "?", *map(str, range(base)))
        self.answers = tuple(range(_NUMBERS, self.vocab_size))

    @property
    def chance(self) -> float:
        return 1 / self.base

    def draw(self, rng: np.random.Generator, num: int, split: Split) -> Samples:
        operands = self.levels(rng, num, split)
        numbers = Ragged(rng.integers(0, self.base, (num, self.width(split) - 1)), operands)
        total = (numbers.values * numbers.inside()).sum(1) % self.base
        prompt = Ragged(numbers.values + _NUMBERS, operands)
        tokens, targets, real = asked(prompt, Ragged.full(_NUMBERS + total), ASK, "parallel", self.width(split))
        return Samples(tokens, targets, operands, real=real)

    def oracle(self, batch: Batch) -> Tensor:
        totals = [sum(token - _NUMBERS for token in row if token >= _NUMBERS) for row in batch.tokens.tolist()]
        return filled(batch, np.array(totals) % self.base + _NUMBERS)

    def shortcuts(self, batch: Batch) -> Mapping[str, Feature]:
        tokens = batch.tokens.numpy()
        last = tokens[np.arange(len(tokens)), (tokens == ASK).argmax(1) - 1]
        return {"first number": tokens[:, :1], "last number": last[:, None]}
