"""MAD's recall in context, plain and among noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field
from torch import Tensor

from mythos_blocks import component
from mythos_blocks.declaring.types import Count
from mythos_lab.tasks.base import IGNORE, Batch, Split
from mythos_lab.tasks.generated import Feature, Guess, filled
from mythos_lab.tasks.recall.mad import MADRecall
from mythos_lab.tasks.samples import Samples


class PairRecall(MADRecall):
    """Keys and values in turn; a value is asked for wherever its key has been seen before, and at the end.

    Keys are the lower half of the tokens, values the upper half, and noise tokens follow. Every key of a sample has one
    value, drawn with replacement.
    """

    def _declare(self, vocab_size: int, length: int, num_noise: int, noise_share: float, train_on: str) -> None:
        if vocab_size - num_noise < 4:
            raise ValueError(f"vocab_size={vocab_size} leaves {vocab_size - num_noise} tokens for keys and values")
        self.vocab_size, self.positions, self.train_on = vocab_size, length - 1, train_on
        self.num_keys = (vocab_size - num_noise) // 2
        self.num_real, self.noise_share = vocab_size - num_noise, noise_share
        self.symbols = (
            *(f"k{i}" for i in range(self.num_keys)),
            *(f"v{i}" for i in range(self.num_real - self.num_keys)),
            *(f"n{i}" for i in range(num_noise)),
        )
        self.max_shortcut = 0.2  # of few values, the nearest is the right one more often than any

    def draw(self, rng: np.random.Generator, num: int, split: Split) -> Samples:
        pairs, rows = (self.positions + 1) // 2, np.arange(num)
        value_of = rng.integers(self.num_keys, self.num_real, (num, self.num_keys))
        keys = rng.integers(0, self.num_keys, (num, pairs))
        noise = rng.random((num, pairs)) < self.noise_share
        noise[rows, rng.integers(0, pairs - 1, num)] = False  # at least one pair
        noise[:, -1] = False
        seen = np.zeros((num, self.num_keys), dtype=bool)
        asked = np.zeros((num, pairs), dtype=bool)
        for i in range(pairs - 1):
            real = ~noise[:, i]
            asked[:, i] = real & seen[rows, keys[:, i]]
            seen[rows[real], keys[real, i]] = True
        # The last key is one of those that have been seen, each as likely.
        keys[:, -1] = (seen * rng.random(seen.shape)).argmax(1)
        asked[:, -1] = True
        sequence = np.stack((keys, np.take_along_axis(value_of, keys, axis=1)), 2)
        if self.noise_share:
            sequence[noise] = rng.integers(self.num_real, self.vocab_size, (int(noise.sum()), 2))
        answers = np.stack((np.zeros_like(asked), asked), 2)
        return self.finished(sequence.reshape(num, -1), answers.reshape(num, -1), split)

    def oracle(self, batch: Batch) -> Tensor:
        answers = []
        targets = batch.targets.tolist()
        for row, asked in zip(batch.tokens.tolist(), targets, strict=True):
            value: dict[int, int] = {}
            for i, token in enumerate(row):
                if asked[i] != IGNORE:
                    answers.append(value.get(token, -1))
                if token < self.num_keys and i + 1 < len(row):
                    value[token] = row[i + 1]
        return filled(batch, np.array(answers))

    def shortcuts(self, batch: Batch) -> Mapping[str, Feature]:
        tokens = batch.tokens.numpy()
        rows, queries = np.nonzero((batch.targets != IGNORE).numpy())
        before = np.where((tokens >= self.num_keys) & (tokens < self.num_real), np.arange(tokens.shape[1]), -1)
        nearest = np.maximum.accumulate(before, axis=1)[rows, queries]
        return {
            "the key": tokens[rows, queries][:, None],
            "the nearest value": Guess(np.where(nearest < 0, -1, tokens[rows, nearest.clip(0)])),
        }


@component("task", "mad_in_context_recall")
class InContextRecall(PairRecall):
    """MAD's recall in context: keys and values in turn, each key's value the same throughout a sample.

    Args:
        vocab_size: Tokens; half are keys.
        length: Tokens of a sample, the last answer included.
        train_on: What training scores: every next token, first values included, as published; or answers only.

    Raises:
        ValueError: There are too few tokens for keys and values.
    """

    def __init__(
        self,
        *,
        vocab_size: Annotated[Count, Field(ge=4)] = 16,
        length: Annotated[Count, Field(ge=8, multiple_of=2)] = 128,
        train_on: Literal["everything", "answers"] = "everything",
        **fields: Any,
    ) -> None:
        super().__init__(**fields)
        self._declare(vocab_size, length, 0, 0.0, train_on)


@component("task", "mad_noisy_recall")
class NoisyRecall(PairRecall):
    """MAD's recall among noise: some pairs are replaced by two tokens that mean nothing.

    Args:
        vocab_size: Tokens, those of noise included.
        length: Tokens of a sample, the last answer included.
        num_noise: Tokens of noise.
        noise_share: Share of the pairs that are noise.
        train_on: What training scores: every next token, noise included, as published; or answers only.

    Raises:
        ValueError: There are too few tokens for keys and values.
    """

    def __init__(
        self,
        *,
        vocab_size: Annotated[Count, Field(ge=4)] = 32,
        length: Annotated[Count, Field(ge=8, multiple_of=2)] = 128,
        num_noise: Count = 16,
        noise_share: Annotated[float, Field(ge=0, lt=1)] = 0.2,
        train_on: Literal["everything", "answers"] = "everything",
        **fields: Any,
    ) -> None:
        super().__init__(**fields)
        self._declare(vocab_size, length, num_noise, noise_share, train_on)
