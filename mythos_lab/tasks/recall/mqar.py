"""Multi-query associative recall."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from torch import Tensor

from mythos_blocks import component
from mythos_blocks.declaring.spec import Declaration
from mythos_blocks.declaring.types import Count
from mythos_lab.tasks.base import IGNORE, Array, Batch, Split
from mythos_lab.tasks.draws import distinct
from mythos_lab.tasks.generated import Feature, Generated, Guess, filled
from mythos_lab.tasks.samples import Samples


class Setting(Declaration):
    """A length and a number of pairs."""

    length: Annotated[Count, Field(ge=4, multiple_of=2, description="Tokens of a sample.")]
    num_pairs: Annotated[Count, Field(ge=1, description="Key-value pairs of a sample.")]
    weight: Annotated[float, Field(gt=0, description="Share of the samples, relative to the other settings.")] = 1.0


_FIGURE_2 = [{"length": 64, "num_pairs": 4}]
_NONE: list[Any] = []


@component("task", "mqar")
class MQAR(Generated):
    """Multi-query associative recall (Arora et al., arXiv 2312.04927), as in the package zoology.

    K key-value pairs stand at the beginning; later every key occurs once more, at a place drawn with weight gap^(a-1)
    without replacement, and its value is asked for there. What is left is filled with random tokens. Key tokens are
    the lower half of the vocabulary and values the upper half. The task is asked of models that see earlier
    positions only.

    The published generator fills from the whole vocabulary, so that in 2.85 % of its smallest samples a filler is a
    key whose value nobody asks for; and the fillers do not follow its seed. Here a filler is never a key of its
    sample, unless ``as_published``; and everything follows the seed.

    Figure 2 of the paper: ``vocab_size: 8192``, ``train_size: 100000``, ``test_size: 3000`` and one of the settings
    (64, 4), (128, 8), (256, 16), (512, 64). The later, mixed protocol: (64, 4) with weight 5 and (128, 8), (256, 16),
    (256, 32), (256, 64) with weight 1 each, ``train_size: 180000``, and longer ``ood_settings``.

    Args:
        vocab_size: Tokens; half are keys, and token 0 is neither.
        settings: Lengths and numbers of pairs, with their shares. Shorter samples are filled up at the end.
        ood_settings: The same out of distribution; none for no such samples.
        power: a; small values put queries soon after the pairs, 1 spreads them evenly.
        fill: Fill with random tokens; ``false`` leaves token 0.
        as_published: Fill with any token, keys included.

    Raises:
        ValueError: Pairs and queries do not fit the length, or there are fewer keys than pairs.
    """

    difficulty_name = "pairs"
    causal = True
    max_shortcut = 0.3  # of four values that have been shown, one is right

    def __init__(
        self,
        *,
        vocab_size: Annotated[Count, Field(ge=8)] = 8192,
        settings: Annotated[list[Setting], Field(min_length=1)] = _FIGURE_2,  # type: ignore[assignment]
        ood_settings: list[Setting] = _NONE,
        power: Annotated[float, Field(gt=0)] = 0.01,
        fill: bool = True,
        as_published: bool = False,
        ood_range: Annotated[int, Field(ge=0, le=0)] = 0,
        **fields: Any,
    ) -> None:
        super().__init__(ood_range=ood_range, **fields)
        self.vocab_size, self.power, self.fill, self.as_published = vocab_size, power, fill, as_published
        self.settings: dict[bool, list[Setting]] = {False: settings, True: ood_settings}
        self.first_value = vocab_size // 2
        for setting in (*settings, *ood_settings):
            if 4 * setting.num_pairs > setting.length:
                raise ValueError(
                    f"num_pairs={setting.num_pairs} need a length of at least {4 * setting.num_pairs}, "
                    f"not {setting.length}: two tokens a pair, and two a query"
                )
            if setting.num_pairs > self.first_value - 1:
                raise ValueError(
                    f"vocab_size={vocab_size} gives {self.first_value - 1} keys for {setting.num_pairs} pairs"
                )
        self.positions = max(setting.length for setting in settings)
        self.ood_range = int(bool(ood_settings))
        self.ood_positions = max(s.length for s in ood_settings) if ood_settings else None
        self.pads, self.ood_pads = (len({s.length for s in several}) > 1 for several in (settings, ood_settings))
        self.answers = tuple(range(self.first_value, vocab_size))

    @property
    def chance(self) -> float:
        return 1 / (self.vocab_size - self.first_value)

    def draw(self, rng: np.random.Generator, num: int, split: Split) -> Samples:
        settings = self.settings[split == "ood"]
        weight = np.array([setting.weight for setting in settings])
        which = np.searchsorted(np.cumsum(weight / weight.sum())[:-1], rng.random(num), side="right")
        tokens = np.zeros((num, self.width(split)), dtype=np.int64)
        targets = np.full_like(tokens, IGNORE)
        for i, setting in enumerate(settings):
            rows = np.flatnonzero(which == i)
            shown, asked = self._drawn(rng, len(rows), setting)
            tokens[rows, : setting.length], targets[rows, : setting.length] = shown, asked
        pairs, lengths = (np.array([getattr(s, name) for s in settings])[which] for name in ("num_pairs", "length"))
        real = np.arange(tokens.shape[1]) < lengths[:, None]
        return Samples(tokens, targets, pairs, slices={"length": lengths}, real=real)

    def _drawn(self, rng: np.random.Generator, num: int, setting: Setting) -> tuple[Array, Array]:
        pairs, context = setting.num_pairs, 2 * setting.num_pairs
        keys = distinct(rng, num, pairs, 1, self.first_value)
        values = distinct(rng, num, pairs, self.first_value, self.vocab_size)
        space = (setting.length - context) // 2
        # The first arrivals of exponential clocks with rates w are a draw without replacement with weights w.
        rate = np.arange(1, space + 1) ** (self.power - 1)
        gaps = np.argsort(rng.exponential(size=(num, space)) / rate, axis=1)[:, :pairs]
        tokens = np.zeros((num, setting.length), dtype=np.int64)
        tokens[:, 0:context:2], tokens[:, 1:context:2] = keys, values
        rows = np.arange(num)[:, None]
        tokens[rows, context + 2 * gaps] = keys
        targets = np.full_like(tokens, IGNORE)
        targets[rows, context + 2 * gaps] = values
        if self.fill:
            empty = np.nonzero(tokens == 0)
            tokens[empty] = self._fillers(rng, keys, empty[0])
        return tokens, targets

    def _fillers(self, rng: np.random.Generator, keys: Array, rows: Array) -> Array:
        """A token for each row; none of the row's keys, unless as published."""
        if self.as_published:
            return rng.integers(0, self.vocab_size, len(rows))
        # The k-th token that is no key, without drawing again: step over each smaller key in ascending order.
        filler = rng.integers(0, self.vocab_size - keys.shape[1], len(rows))
        ordered = np.sort(keys, axis=1)
        for i in range(keys.shape[1]):
            filler += filler >= ordered[rows, i]
        return filler

    def oracle(self, batch: Batch) -> Tensor:
        tokens = batch.tokens.numpy()
        rows, queries = np.nonzero((batch.targets != IGNORE).numpy())
        first = (tokens[rows] == tokens[rows, queries][:, None]).argmax(1)
        return filled(batch, tokens[rows, first + 1])

    def shortcuts(self, batch: Batch) -> Mapping[str, Feature]:
        tokens = batch.tokens.numpy()
        rows, queries = np.nonzero((batch.targets != IGNORE).numpy())
        before = np.where(tokens >= self.first_value, np.arange(tokens.shape[1]), -1)
        nearest = np.maximum.accumulate(before, axis=1)[rows, queries]
        return {
            "the first value": Guess(tokens[rows, 1]),
            "the nearest token of the values' half": Guess(tokens[rows, nearest.clip(0)]),
        }
