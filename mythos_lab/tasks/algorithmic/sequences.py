"""Copy, reverse, sort: the answer is as long as what is asked about."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from torch import Tensor

from mythos_blocks import component
from mythos_blocks.declaring.types import Count, NoneOrMore
from mythos_lab.tasks.base import IGNORE, Array, Batch, Split
from mythos_lab.tasks.generated import Feature, Generated, enough, filled, places
from mythos_lab.tasks.ragged import Layout, Ragged, asked, flipped, join
from mythos_lab.tasks.samples import Samples

ASK, END = 1, 2
_LETTERS = 3


class Rearranged(Generated):
    """A random string, an end mark, and the string in another order.

    Args:
        alphabet: Different tokens of the string.
        min_length: Fewest tokens of the string in training.
        max_length: Most tokens of the string in training.
        layout: Whether all answers are asked for at once or each after the ones before it.
    """

    difficulty_name = "length"

    def __init__(
        self,
        *,
        alphabet: Annotated[Count, Field(ge=2)] = 10,
        min_length: Count = 2,
        max_length: Count = 12,
        layout: Layout = "parallel",
        ood_range: NoneOrMore = 8,
        **fields: Any,
    ) -> None:
        super().__init__(ood_range=ood_range, **fields)
        self.alphabet, self.layout = alphabet, layout
        self.spans(min_length, max_length, lambda length: 2 * length + 1)
        enough(alphabet ** min(max_length, 6), f"alphabet={alphabet} and max_length={max_length}")
        self.vocab_size = _LETTERS + alphabet
        self.symbols = ("", "_", "|", *map(str, range(alphabet)))
        self.answers = tuple(range(_LETTERS, self.vocab_size))
        self.causal = layout == "autoregressive"

    @abstractmethod
    def rearranged(self, values: Array, lengths: Array) -> Array:
        """The answer to strings ``(samples, most)``; what lies beyond a length is meaningless."""

    @abstractmethod
    def answer(self, string: list[int]) -> list[int]:
        """The same for one string, in plain Python."""

    @property
    def chance(self) -> float:
        return 1 / self.alphabet

    def draw(self, rng: np.random.Generator, num: int, split: Split) -> Samples:
        length = self.levels(rng, num, split)
        values = rng.integers(_LETTERS, self.vocab_size, (num, int(length.max(initial=1))))
        prompt = join(Ragged(values, length), Ragged.full(np.full(num, END)))
        answer = Ragged(self.rearranged(values, length), length)
        tokens, targets, real = asked(prompt, answer, ASK, self.layout, self.width(split))
        return Samples(tokens, targets, length, real=real)

    def strings(self, batch: Batch) -> list[list[int]]:
        """The string of each sample."""
        return [row[: row.index(END)] for row in batch.tokens.tolist()]

    def oracle(self, batch: Batch) -> Tensor:
        return filled(batch, np.array([token for string in self.strings(batch) for token in self.answer(string)]))

    def shortcuts(self, batch: Batch) -> Mapping[str, Feature]:
        return {"the place": places(batch)[:, None]}

    def partial(self, batch: Batch) -> Mapping[str, Feature]:
        """The string's first and last token: a good part of a short one."""
        strings = self.strings(batch)
        rows = np.nonzero((batch.targets != IGNORE).numpy())[0]
        ends = {"first token": 0, "last token": -1}
        return {name: np.array([string[end] for string in strings])[rows][:, None] for name, end in ends.items()}


@component("task", "copy")
class Copy(Rearranged):
    """The string once more.

    Raises:
        ValueError: ``min_length`` exceeds ``max_length``, or there are too few strings for three splits.
    """

    def rearranged(self, values: Array, lengths: Array) -> Array:
        return values

    def answer(self, string: list[int]) -> list[int]:
        return string


@component("task", "reverse")
class Reverse(Rearranged):
    """The string from its end to its beginning.

    Raises:
        ValueError: ``min_length`` exceeds ``max_length``, or there are too few strings for three splits.
    """

    def rearranged(self, values: Array, lengths: Array) -> Array:
        return flipped(values, lengths)

    def answer(self, string: list[int]) -> list[int]:
        return string[::-1]


@component("task", "sorting")
class Sorting(Rearranged):
    """The string's tokens in ascending order, equal ones as often as they occur.

    Raises:
        ValueError: ``min_length`` exceeds ``max_length``, or there are too few strings for three splits.
    """

    chance = Generated.chance  # measured: the first tokens are small
    max_shortcut = 0.45  # of a long string's tokens by their place: the first are small

    def rearranged(self, values: Array, lengths: Array) -> Array:
        inside = np.arange(values.shape[1]) < lengths[:, None]
        return np.sort(np.where(inside, values, self.vocab_size), axis=1)

    def answer(self, string: list[int]) -> list[int]:
        return sorted(string)
