"""State tracking: the running product of group elements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from mythos_blocks import component
from mythos_blocks.declaring.types import Count, NoneOrMore
from mythos_lab.tasks.algorithmic.groups import GroupName, generators, table
from mythos_lab.tasks.base import IGNORE, Array, Batch, Split
from mythos_lab.tasks.generated import Feature, Generated, enough, places
from mythos_lab.tasks.samples import Samples

_ELEMENTS = 1


@component("task", "word_problem")
class WordProblem(Generated):
    """The word problem of a group (Merrill et al., arXiv 2404.08819): at every position the product so far.

    S5 and A5 are complete for NC1, so a transformer of fixed depth does not track them at every length. Out of
    distribution, only products longer than those of training are scored.

    Args:
        group: The group, by name.
        letters: The elements that words are made of: all of the group, or two that generate it (one where one does).
        length: Elements of a word in training.
        score: Score the product at every position, or at the last one only.

    Raises:
        ValueError: There are too few words for three splits.
    """

    difficulty_name = "length"

    def __init__(
        self,
        *,
        group: GroupName = "S5",
        letters: Literal["all", "generators"] = "all",
        length: Annotated[Count, Field(ge=2)] = 8,
        score: Literal["every", "last"] = "every",
        ood_range: NoneOrMore = 8,
        **fields: Any,
    ) -> None:
        super().__init__(ood_range=ood_range, **fields)
        self.score, self.table = score, table(group)
        order = len(self.table)
        self.letters: Array = np.arange(order) if letters == "all" else np.array((0, *generators(group)))
        self.spans(1 if score == "every" else length, length, lambda length: length)
        self.pads = self.ood_pads = False  # difficulties are places of one word
        enough(len(self.letters) ** min(length, 6), f"group={group!r} and length={length}")
        self.order = order
        self.vocab_size = _ELEMENTS + order
        self.symbols = ("", *(f"g{i}" for i in range(order)))
        self.answers = tuple(range(_ELEMENTS, self.vocab_size))

    @property
    def chance(self) -> float:
        if len(self.letters) == self.order:
            return 1 / self.order
        return super().chance

    def draw(self, rng: np.random.Generator, num: int, split: Split) -> Samples:
        length = self.width(split)
        word = self.letters[rng.integers(0, len(self.letters), (num, length))]
        product = word.copy()
        for i in range(1, length):
            product[:, i] = self.table[product[:, i - 1], word[:, i]]
        targets = product + _ELEMENTS
        if split == "ood":
            targets[:, : self.high] = IGNORE
        if self.score == "last":
            targets[:, :-1] = IGNORE
        place = np.broadcast_to(np.arange(1, length + 1), word.shape)
        return Samples(word + _ELEMENTS, targets, place)

    def oracle(self, batch: Batch) -> Tensor:
        rows = []
        for word in batch.tokens.tolist():
            state, states = 0, []
            for token in word:
                state = int(self.table[state, token - _ELEMENTS])
                states.append(state + _ELEMENTS)
            rows.append(states)
        return torch.tensor(rows)

    def shortcuts(self, batch: Batch) -> Mapping[str, Feature]:
        return {"the place": places(batch)[:, None]}

    def partial(self, batch: Batch) -> Mapping[str, Feature]:
        """The nearest tokens: all that there is of the shortest words."""
        scored = (batch.targets != IGNORE).numpy()
        tokens = batch.tokens.numpy()
        before = np.pad(tokens, ((0, 0), (1, 0)))[:, :-1]
        return {"this token": tokens[scored][:, None], "the last two tokens": np.stack((before, tokens), 2)[scored]}
