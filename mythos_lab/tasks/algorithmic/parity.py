"""Is the number of ones odd?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from mythos_blocks import component
from mythos_blocks.declaring.types import Count, NoneOrMore
from mythos_lab.tasks.base import Batch, Split
from mythos_lab.tasks.generated import Feature, Generated, enough, filled
from mythos_lab.tasks.ragged import Ragged, asked
from mythos_lab.tasks.samples import Samples

ZERO, ONE, ASK, EVEN, ODD = range(1, 6)


@component("task", "parity")
class Parity(Generated):
    """Whether a string of bits has an odd number of ones, read after the string.

    Args:
        min_length: Fewest bits in training.
        max_length: Most bits in training.

    Raises:
        ValueError: ``min_length`` exceeds ``max_length``, or there are too few strings for three splits.
    """

    vocab_size = 6
    symbols = ("", "0", "1", "?", "even", "odd")
    difficulty_name = "length"
    chance = 0.5
    answers = (EVEN, ODD)

    def __init__(
        self,
        *,
        min_length: Count = 4,
        max_length: Count = 16,
        ood_range: NoneOrMore = 16,
        **fields: Any,
    ) -> None:
        super().__init__(ood_range=ood_range, **fields)
        self.spans(min_length, max_length, lambda length: length + 1)
        enough(2 ** min(max_length, 6), f"max_length={max_length}")

    def draw(self, rng: np.random.Generator, num: int, split: Split) -> Samples:
        length = self.levels(rng, num, split)
        bits = Ragged(rng.integers(0, 2, (num, self.width(split) - 1)), length)
        odd = (bits.values * bits.inside()).sum(1) % 2
        prompt = Ragged(bits.values + ZERO, length)
        tokens, targets, real = asked(prompt, Ragged.full(EVEN + odd), ASK, "parallel", self.width(split))
        return Samples(tokens, targets, length, real=real)

    def oracle(self, batch: Batch) -> Tensor:
        return filled(batch, np.where((batch.tokens == ONE).sum(1).numpy() % 2 == 1, ODD, EVEN))

    def shortcuts(self, batch: Batch) -> Mapping[str, Feature]:
        tokens = batch.tokens.numpy()
        ones, zeros = (tokens == ONE).sum(1), (tokens == ZERO).sum(1)
        last = tokens[np.arange(len(tokens)), ones + zeros - 1]
        return {"first and last bit": np.stack((tokens[:, 0], last), 1)}

    def partial(self, batch: Batch) -> Mapping[str, Feature]:
        """Whether ones are more, which tells something of short strings."""
        ones, zeros = ((batch.tokens == bit).sum(1).numpy() for bit in (ONE, ZERO))
        return {"majority": np.sign(ones - zeros)[:, None]}
