"""MAD's memorisation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from torch import Tensor

from mythos_blocks import component
from mythos_blocks.declaring.types import Count, Many
from mythos_lab.tasks.base import IGNORE, Batch, Split
from mythos_lab.tasks.generated import Feature, filled
from mythos_lab.tasks.randomness import generator
from mythos_lab.tasks.recall.mad import MAD
from mythos_lab.tasks.samples import Samples


@component("task", "mad_memorization")
class Memorization(MAD):
    """MAD's memorisation: one map from keys to values for the whole task, which no sample shows.

    Key and mark in turn; at the mark the key's value is asked for. A model has to learn the map from training targets:
    what is measured is facts kept in weights, so test samples ask for the same map. No two splits share a sample.

    Args:
        vocab_size: Tokens; the last is the mark, half of the others are keys.
        length: Positions of a sample, two a key.
        train_size: Distinct training samples, in a new order every epoch; ``null`` never ends.
    """

    causal = True
    max_shortcut = 1.0  # the key settles the value: nothing else is asked

    def __init__(
        self,
        *,
        vocab_size: Annotated[Count, Field(ge=5)] = 256,
        length: Annotated[Count, Field(ge=2, multiple_of=2)] = 32,
        train_size: Many | None = 256,
        **fields: Any,
    ) -> None:
        super().__init__(train_size=train_size, **fields)
        self.vocab_size, self.positions = vocab_size, length
        self.num_keys = (vocab_size - 1) // 2
        self.mark = vocab_size - 1
        self.value_of = self.num_keys + generator(self.seed, "table", 0).permutation(self.num_keys)
        self.symbols = (
            *(f"k{i}" for i in range(self.num_keys)),
            *(f"v{i}" for i in range(vocab_size - 1 - self.num_keys)),
            "|",
        )

    @property
    def chance(self) -> float:
        return 1 / self.num_keys

    def draw(self, rng: np.random.Generator, num: int, split: Split) -> Samples:
        keys = rng.integers(0, self.num_keys, (num, self.positions // 2))
        tokens = np.stack((keys, np.full_like(keys, self.mark)), 2).reshape(num, -1)
        targets = np.stack((np.full_like(keys, IGNORE), self.value_of[keys]), 2).reshape(num, -1)
        return Samples(tokens, targets)

    def oracle(self, batch: Batch) -> Tensor:
        return filled(batch, self.value_of[batch.tokens.numpy()[:, ::2]].reshape(-1))

    def shortcuts(self, batch: Batch) -> Mapping[str, Feature]:
        return {"the key": batch.tokens.numpy()[:, ::2].reshape(-1)[:, None]}
