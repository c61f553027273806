"""A task: which of two symbols there are more of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from mythos_blocks import component
from mythos_blocks.declaring.types import Count
from mythos_lab.tasks.base import Batch, Split
from mythos_lab.tasks.generated import Feature, Generated, enough, filled
from mythos_lab.tasks.ragged import Ragged, asked
from mythos_lab.tasks.samples import Samples

A, B, ASK, LESS, MORE = range(1, 6)


@component("task", "skeleton")
class Skeleton(Generated):
    """Whether a string over two symbols has more of the first than of the second.

    Args:
        min_length: Fewest symbols in training.
        max_length: Most symbols in training.

    Raises:
        ValueError: ``min_length`` exceeds ``max_length``, or there are too few strings for three splits.
    """

    vocab_size = 6
    symbols = ("", "a", "b", "?", "no", "yes")
    difficulty_name = "length"
    answers = (LESS, MORE)

    def __init__(self, *, min_length: Count = 5, max_length: Count = 11, **fields: Any) -> None:
        super().__init__(**fields)
        self.spans(min_length, max_length, lambda length: length + 1)
        enough(2 ** min(max_length, 6), f"max_length={max_length}")

    def draw(self, rng: np.random.Generator, num: int, split: Split) -> Samples:
        length = self.levels(rng, num, split)
        strings = Ragged(rng.integers(A, B + 1, (num, self.width(split) - 1)), length)
        more = (np.where(strings.values == A, 1, -1) * strings.inside()).sum(1) > 0
        tokens, targets, real = asked(strings, Ragged.full(LESS + more), ASK, "parallel", self.width(split))
        return Samples(tokens, targets, length, real=real)

    def oracle(self, batch: Batch) -> Tensor:
        """What is right, from the tokens alone: tests and probes ask it."""
        first, second = ((batch.tokens == symbol).sum(1).numpy() for symbol in (A, B))
        return filled(batch, np.where(first > second, MORE, LESS))

    def shortcuts(self, batch: Batch) -> Mapping[str, Feature]:
        """What needs no counting, and must not lead to the answer; `mythos task` audits it."""
        return {"first symbol": batch.tokens.numpy()[:, :1]}
