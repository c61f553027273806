"""What the tasks on written numbers share."""

from __future__ import annotations

import numpy as np

from mythos_lab.tasks.base import Array, Batch, Split
from mythos_lab.tasks.generated import Generated
from mythos_lab.tasks.ragged import Layout, Ragged, asked, flipped, join
from mythos_lab.tasks.samples import Samples

ASK, OPERATOR = 1, 2
ZERO = 3  # the token of the digit 0


class Digits(Generated):
    """Two numbers of equally many digits, an operator between them, and the digits of the result.

    Results have leading zeros: how many places are asked for tells only how many digits the operands have.
    """

    vocab_size = ZERO + 10
    difficulty_name = "digits"
    answers = tuple(range(ZERO, ZERO + 10))
    sign: str

    def _declare(self, low: int, high: int, extra: int, factor: int, least_first: bool, layout: Layout) -> None:
        self.least_first, self.layout = least_first, layout
        self.symbols = ("", "_", self.sign, *map(str, range(10)))
        self.causal = layout == "autoregressive"
        self.extra, self.factor = extra, factor
        self.spans(low, high, lambda digits: 2 * digits + 1 + factor * digits + extra)

    def written(self, a: Array, b: Array, result: Array, digits: Array, split: Split, **slices: Array) -> Samples:
        """Samples of digits ``(samples, most)``, the least first, of numbers of ``digits`` digits."""
        lengths = self.factor * digits + self.extra

        def shown(values: Array, lengths: Array) -> Ragged:
            if self.least_first:
                return Ragged(values + ZERO, lengths)
            return Ragged(flipped(values, lengths) + ZERO, lengths)

        sign = Ragged.full(np.full(len(a), OPERATOR))
        prompt = join(shown(a, digits), sign, shown(b, digits))
        tokens, targets, real = asked(prompt, shown(result, lengths), ASK, self.layout, self.width(split))
        return Samples(tokens, targets, digits, slices=slices, real=real)

    def operands(self, batch: Batch) -> tuple[list[int], list[int], list[int]]:
        """Both numbers of each sample, and their digits."""
        first: list[int] = []
        second: list[int] = []
        count: list[int] = []
        for row in batch.tokens.tolist():
            k = row.index(OPERATOR)
            parts = [[token - ZERO for token in part] for part in (row[:k], row[k + 1 : 2 * k + 1])]
            if not self.least_first:
                parts = [part[::-1] for part in parts]
            for numbers, part in zip((first, second), parts, strict=True):
                numbers.append(sum(digit * 10**place for place, digit in enumerate(part)))
            count.append(k)
        return first, second, count

    def spelled(self, results: list[int], digits: list[int]) -> Array:
        """The tokens of results, all in one row."""
        tokens: list[int] = []
        for result, count in zip(results, digits, strict=True):
            length = self.factor * count + self.extra
            places = [ZERO + result // 10**place % 10 for place in range(length)]
            tokens += places if self.least_first else places[::-1]
        return np.array(tokens)


def random_digits(rng: np.random.Generator, digits: Array) -> Array:
    """Numbers of ``digits`` random digits, the least first, zeros beyond: ``(numbers, most)``."""
    most = int(digits.max(initial=1))
    return rng.integers(0, 10, (len(digits), most)) * (np.arange(most) < digits[:, None])
