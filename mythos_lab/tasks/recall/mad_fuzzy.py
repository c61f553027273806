"""MAD's fuzzy recall: keys and values of several tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field
from torch import Tensor

from mythos_blocks import component
from mythos_blocks.declaring.types import Count
from mythos_lab.tasks.base import Array, Batch, Split
from mythos_lab.tasks.draws import distinct
from mythos_lab.tasks.generated import Feature, filled
from mythos_lab.tasks.ragged import Ragged, join
from mythos_lab.tasks.recall.mad import MADRecall
from mythos_lab.tasks.samples import Samples

_OPEN = -2  # in the history of keys: nothing yet


@component("task", "mad_fuzzy_recall")
class FuzzyRecall(MADRecall):
    """MAD's fuzzy recall: a key is a motif of one to three different tokens, and so is a value.

    Samples are filled with pairs until the last one fits, and padded at the beginning. Training has keys of all sizes,
    the other splits only the largest. A value is asked for wherever its key has been seen before, and at the end. The
    published generator may reach the end before it has shown the pair that it asks for; here it is always shown.

    Args:
        vocab_size: Tokens; the last one pads, half of the others are parts of keys.
        length: Tokens of a sample, the last one of the last answer not included.
        max_key: Most tokens of a key.
        max_value: Most tokens of a value.
        train_on: What training scores: every next token, padding included, as published; or answers only.

    Raises:
        ValueError: There are too few tokens for motifs, or the length is too small for two pairs.
    """

    def __init__(
        self,
        *,
        vocab_size: Annotated[Count, Field(ge=5)] = 16,
        length: Count = 128,
        max_key: Count = 3,
        max_value: Count = 3,
        train_on: Literal["everything", "answers"] = "everything",
        **fields: Any,
    ) -> None:
        super().__init__(**fields)
        self.vocab_size, self.positions, self.train_on = vocab_size, length, train_on
        self.max_key, self.max_value = max_key, max_value
        self.num_keys = (vocab_size - 1) // 2
        if self.num_keys < max(max_key, max_value):
            raise ValueError(
                f"vocab_size={vocab_size} has {self.num_keys} tokens for motifs of {max(max_key, max_value)}"
            )
        if length < 4 * (max_key + max_value):
            raise ValueError(
                f"length={length} must be at least {4 * (max_key + max_value)}, for pairs of the largest size"
            )
        self.pad = vocab_size - 1
        self.symbols = (
            *(f"k{i}" for i in range(self.num_keys)),
            *(f"v{i}" for i in range(vocab_size - 1 - self.num_keys)),
            "",
        )

    def draw(self, rng: np.random.Generator, num: int, split: Split) -> Samples:
        train = split == "train"
        probe_key, probe_value = self._key(rng, num, train), self._value(rng, num)
        size = probe_key.lengths + probe_value.lengths
        room = self.positions - size - (self.max_key + self.max_value)
        # So early that the pair which is asked for at the end is surely shown before.
        due = rng.integers(0, room - (self.max_key + self.max_value) + 1)
        shown = np.zeros(num, dtype=bool)
        length = np.zeros(num, dtype=np.int64)
        keys: list[Ragged] = []
        values: list[Ragged] = []
        asked: list[Array] = []
        codes = np.empty((num, 0), dtype=np.int64)
        probe_code = self._code(probe_key)
        rows = np.arange(num)
        while (length < room).any():
            going = length < room
            insert = going & (length >= due) & ~shown
            key, value = self._key(rng, num, train), self._value(rng, num)
            key = _either(insert, probe_key, key)
            code = np.where(going, self._code(key), _OPEN)
            value = _either(code == probe_code, probe_value, value)
            shown |= code == probe_code
            # A key that has come before has the value that it had then.
            before = codes == code[:, None]
            known = before.any(1) & going
            if known.any():
                first = before.argmax(1)
                old = Ragged(
                    np.stack([v.values for v in values], 1)[rows, first],
                    np.stack([v.lengths for v in values], 1)[rows, first],
                )
                value = _either(known, old, value)
            key, value = Ragged(key.values, key.lengths * going), Ragged(value.values, value.lengths * going)
            keys.append(key)
            values.append(value)
            asked.append(known & ~insert)
            codes = np.concatenate((codes, code[:, None]), 1)
            length = length + key.lengths + value.lengths
        pad = Ragged(np.full((num, self.positions + 1), self.pad), self.positions + 1 - length - size)
        parts, marks = [pad], [_marked(pad, np.zeros(num, dtype=bool))]
        for key, value, ask in zip(keys, values, asked, strict=True):
            parts += [key, value]
            marks += [_marked(key, np.zeros(num, dtype=bool)), _marked(value, ask)]
        parts += [probe_key, probe_value]
        marks += [_marked(probe_key, np.zeros(num, dtype=bool)), _marked(probe_value, np.ones(num, dtype=bool))]
        return self.finished(join(*parts).values, join(*marks).values.astype(bool), split)

    def oracle(self, batch: Batch) -> Tensor:
        answers = []
        for row, asked in zip(batch.tokens.tolist(), (batch.targets >= 0).tolist(), strict=True):
            value: dict[tuple[int, ...], list[int]] = {}
            i = 0
            while i < len(row) and row[i] == self.pad:
                i += 1
            while i < len(row):
                start = i
                while i < len(row) and row[i] < self.num_keys:
                    i += 1
                key, start = tuple(row[start:i]), i
                while i < len(row) and row[i] >= self.num_keys:
                    i += 1
                value.setdefault(key, row[start:i])
                # The first token of a value is read at the last of its key.
                answers += [
                    t for t, ask in zip(value[key], asked[start - 1 : start - 1 + len(value[key])], strict=False) if ask
                ]
        return filled(batch, np.array(answers))

    def shortcuts(self, batch: Batch) -> Mapping[str, Feature]:
        tokens = batch.tokens.numpy()
        rows, here = np.nonzero((batch.targets >= 0).numpy())
        return {"this token": tokens[rows, here][:, None]}

    def _key(self, rng: np.random.Generator, num: int, train: bool) -> Ragged:
        sizes = rng.integers(1, self.max_key + 1, num) if train else np.full(num, self.max_key)
        return Ragged(distinct(rng, num, self.max_key, 0, self.num_keys), sizes)

    def _value(self, rng: np.random.Generator, num: int) -> Ragged:
        motif = distinct(rng, num, self.max_value, self.num_keys, self.vocab_size - 1)
        return Ragged(motif, rng.integers(1, self.max_value + 1, num))

    def _code(self, key: Ragged) -> Array:
        """One integer for each motif."""
        base = self.num_keys + 1
        return (np.where(key.inside(), key.values + 1, 0) * base ** np.arange(self.max_key)).sum(1)


def _either(condition: Array, yes: Ragged, no: Ragged) -> Ragged:
    return Ragged(np.where(condition[:, None], yes.values, no.values), np.where(condition, yes.lengths, no.lengths))


def _marked(part: Ragged, mark: Array) -> Ragged:
    """A part of equal lengths that says of each token whether it is asked for."""
    return Ragged(np.broadcast_to(mark[:, None].astype(np.int64), part.values.shape), part.lengths)
