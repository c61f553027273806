"""MAD's selective copying."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from torch import Tensor

from mythos_blocks import component
from mythos_blocks.declaring.types import Count
from mythos_lab.tasks.base import IGNORE, Batch, Split
from mythos_lab.tasks.generated import Feature, filled, places
from mythos_lab.tasks.recall.mad import MAD
from mythos_lab.tasks.samples import Samples


@component("task", "mad_selective_copying")
class SelectiveCopying(MAD):
    """MAD's selective copying: tokens scattered among blanks, to be given back in order at the end.

    Every blank goes before one of the tokens, each as likely; so none stands between the last token and the mark after
    which the answers are read. As published, but for the places of the blanks, which follow the seed here.

    Args:
        vocab_size: Tokens; the last two are the blank and the mark.
        length: Positions of a sample.
        num_copied: Tokens to copy.

    Raises:
        ValueError: The length is too small for the tokens and the answers.
    """

    causal = True

    def __init__(
        self,
        *,
        vocab_size: Annotated[Count, Field(ge=4)] = 16,
        length: Count = 256,
        num_copied: Count = 16,
        **fields: Any,
    ) -> None:
        super().__init__(**fields)
        if length <= 2 * num_copied + 1:
            raise ValueError(f"length={length} must exceed 2 num_copied + 1 = {2 * num_copied + 1}")
        self.vocab_size, self.positions, self.num_copied = vocab_size, length, num_copied
        self.blank, self.mark = vocab_size - 2, vocab_size - 1
        self.symbols = (*map(str, range(vocab_size - 2)), ".", "|")
        self.answers = tuple(range(vocab_size - 2))

    @property
    def chance(self) -> float:
        return 1 / (self.vocab_size - 2)

    def draw(self, rng: np.random.Generator, num: int, split: Split) -> Samples:
        k, blanks = self.num_copied, self.positions - 2 * self.num_copied - 1
        copied = rng.integers(0, self.blank, (num, k))
        # A token's place is its number plus the blanks that go before it or an earlier one.
        goes_before = rng.integers(0, k, (num, blanks))
        counts = np.bincount((np.arange(num)[:, None] * k + goes_before).reshape(-1), minlength=num * k)
        place = np.arange(k) + np.cumsum(counts.reshape(num, k), 1)
        tokens = np.full((num, self.positions), self.blank)
        tokens[np.arange(num)[:, None], place] = copied
        tokens[:, k + blanks] = self.mark
        targets = np.full_like(tokens, IGNORE)
        targets[:, -k:] = copied
        return Samples(tokens, targets)

    def oracle(self, batch: Batch) -> Tensor:
        rows = [
            [token for token in row[: row.index(self.mark)] if token != self.blank] for row in batch.tokens.tolist()
        ]
        return filled(batch, np.array(rows).reshape(-1))

    def shortcuts(self, batch: Batch) -> Mapping[str, Feature]:
        return {"the place": places(batch)[:, None]}
