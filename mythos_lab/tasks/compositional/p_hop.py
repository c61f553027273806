"""p-hop induction: from the last token to where it came before, to what followed it there, and so on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from torch import Tensor

from mythos_blocks import component
from mythos_blocks.types import Count
from mythos_lab.tasks.base import Array, Batch, Split
from mythos_lab.tasks.generated import Feature, Generated, filled
from mythos_lab.tasks.ragged import Ragged, asked
from mythos_lab.tasks.samples import Samples

_MAX_DRAWS = 200


@component("task", "p_hop")
class PHop(Generated):
    """p-hop induction (Sanford et al., arXiv 2402.09268, section 4).

    One hop leads from position i to the position after the nearest earlier one with the same token; the answer is the
    token that p hops lead to from the last one. p is said by the token after the sequence, at which the answer is read.
    Sequences in which p hops lead out of the sequence are drawn anew.

    As published, neighbours may be equal, and a hop from the second of two equal tokens stays where it is: after some
    hops most walks stand still, and the last two tokens tell more the more hops are asked for. Here neighbours
    differ, so every hop goes further back.

    Args:
        length: Tokens of the sequence.
        alphabet: Different tokens of the sequence.
        repeats: Allow equal neighbours, as published; a recipe that does has to waive ``task.shortcut``.
        min_hops: Least p in training.
        max_hops: Largest p in training.

    Raises:
        ValueError: ``min_hops`` exceeds ``max_hops``, or hardly any sequence has so many hops.
    """

    difficulty_name = "hops"
    compositional = True

    def __init__(
        self,
        *,
        length: Annotated[int, Field(ge=4)] = 72,
        alphabet: Annotated[int, Field(ge=3, le=256)] = 12,
        repeats: bool = False,
        min_hops: Count = 1,
        max_hops: Count = 4,
        **fields: Any,
    ) -> None:
        super().__init__(**fields)
        self.length, self.alphabet, self.repeats = length, alphabet, repeats
        self.max_shortcut = 0.8 if repeats else 0.1
        self.spans(min_hops, max_hops, lambda hops: length + 1)
        # A hop leads back by the alphabet's size on average; some slack keeps what is drawn anew rare.
        if self.top * alphabet > length:
            raise ValueError(
                f"length={length} must be at least alphabet x (max_hops + ood_range) = {self.top * alphabet}, "
                "for so many hops to stay within the sequence"
            )
        letters = tuple(chr(97 + i) if alphabet <= 26 else f"t{i}" for i in range(alphabet))
        self.symbols = ("", *letters, *(f"hops={p}" for p in range(1, self.top + 1)))
        self.vocab_size = len(self.symbols)
        self.answers = tuple(range(1, alphabet + 1))

    @property
    def chance(self) -> float:
        return 1 / self.alphabet

    def draw(self, rng: np.random.Generator, num: int, split: Split) -> Samples:
        hops = self.levels(rng, num, split)
        sequence = self._sequences(rng, num)
        place = _follow(sequence, hops)
        for _ in range(_MAX_DRAWS):
            again = np.flatnonzero(place < 0)
            if not len(again):
                break
            sequence[again] = self._sequences(rng, len(again))
            place[again] = _follow(sequence[again], hops[again])
        else:
            raise ValueError(f"length={self.length} leaves hardly any sequence of {self.top} hops")
        answer = sequence[np.arange(num), place]
        tokens, targets = asked(Ragged.full(sequence), Ragged.full(answer), 0, "parallel", self.positions)
        tokens[:, self.length] = self.alphabet + hops
        return Samples(tokens, targets, hops)

    def _sequences(self, rng: np.random.Generator, num: int) -> Array:
        if self.repeats:
            return rng.integers(1, self.alphabet + 1, (num, self.length))
        step = rng.integers(1, self.alphabet, (num, self.length))
        return np.cumsum(step, 1) % self.alphabet + 1

    def oracle(self, batch: Batch) -> Tensor:
        answers = []
        for *sequence, question in batch.tokens.tolist():
            at = len(sequence) - 1
            for _ in range(question - self.alphabet):
                at = max(m for m in range(at) if sequence[m] == sequence[at]) + 1
            answers.append(sequence[at])
        return filled(batch, np.array(answers))

    def shortcuts(self, batch: Batch) -> Mapping[str, Feature]:
        sequence = batch.tokens.numpy()[:, :-1]
        counts = np.stack([(sequence == token).sum(1) for token in self.answers or ()], 1)
        return {
            "last two tokens": sequence[:, -2:],
            "first three tokens": sequence[:, :3],
            "commonest token": counts.argmax(1)[:, None],
        }

    def partial(self, batch: Batch) -> Mapping[str, Feature]:
        """The nearest tokens, and where fewer hops lead. At p hops, p of them are the answer."""
        sequence = batch.tokens.numpy()[:, :-1]
        rows = np.arange(len(sequence))
        found: dict[str, Feature] = {"last four tokens": sequence[:, -4:]}
        for p in range(1, self.top):
            place = _follow(sequence, np.full(len(sequence), p))
            reached = np.where(place < 0, 0, sequence[rows, place.clip(0)])
            found[f"{p} hops"] = np.stack((reached, sequence[:, -1]), 1)
        return found


def _follow(sequence: Array, hops: Array) -> Array:
    """The position that ``hops`` hops lead to from the last one, ``(samples,)``; -1 where they lead out."""
    num, length = sequence.shape
    rows = np.arange(num)
    last_seen = np.full((num, int(sequence.max()) + 1), -2)
    after = np.empty((num, length), dtype=np.int64)
    for i in range(length):
        after[:, i] = last_seen[rows, sequence[:, i]] + 1
        last_seen[rows, sequence[:, i]] = i
    place = np.full(num, length - 1)
    for k in range(int(hops.max(initial=0))):
        step = np.where(place < 0, -1, after[rows, place.clip(0)])
        place = np.where(k < hops, step, place)
    return place
