"""p-hop induction: from the last token to where it came before, to what followed it there, and so on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from mythos_blocks import component
from mythos_blocks.declaring.types import Count
from mythos_lab.tasks.base import IGNORE, Array, Batch, Split
from mythos_lab.tasks.generated import Feature, Generated
from mythos_lab.tasks.samples import Samples

_MAX_DRAWS = 200


@component("task", "p_hop")
class PHop(Generated):
    """p-hop induction (Sanford et al., arXiv 2402.09268, section 4).

    One hop leads from position i to the position after the nearest earlier one with the same token; the answer at a
    position is the token that p hops lead to from there. p is said by the first token. Answers are asked for in the
    second half, wherever p hops stay within the sequence, as they do from the last position of every sample. (In the
    first half only those stay within it that lead to near positions: there, the nearest tokens tell too much.)

    As published, a token may be like its neighbours: then a hop from the second of two equal tokens stays where it is,
    walks stand still, and the last two tokens tell more the more hops are asked for. With neighbours different, two
    hops still lead back to the token itself twice as often as chance, by way of "x y x". Here three tokens in a row
    are different, and neither happens.

    Args:
        length: Tokens of the sequence.
        alphabet: Different tokens of the sequence.
        score: Ask at every position of the second half, or at the last one only, which is far harder to learn.
        repeats: Allow near tokens to be equal, as published; a recipe that does has to waive ``task.shortcut``.
        min_hops: Least p in training.
        max_hops: Largest p in training.

    Raises:
        ValueError: ``min_hops`` exceeds ``max_hops``, or hardly any sequence has so many hops.
    """

    difficulty_name = "hops"
    difficulty_is_depth = True
    causal = True
    compositional = True

    def __init__(
        self,
        *,
        length: Annotated[Count, Field(ge=4)] = 72,
        alphabet: Annotated[Count, Field(ge=4, le=256)] = 12,
        score: Literal["every", "last"] = "every",
        repeats: bool = False,
        min_hops: Count = 1,
        max_hops: Count = 4,
        **fields: Any,
    ) -> None:
        super().__init__(**fields)
        self.length, self.alphabet, self.score, self.repeats = length, alphabet, score, repeats
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
            again = np.flatnonzero(place[:, -1] < 0)
            if not len(again):
                break
            sequence[again] = self._sequences(rng, len(again))
            place[again] = _follow(sequence[again], hops[again])
        else:
            raise ValueError(f"length={self.length} leaves hardly any sequence of {self.top} hops")
        tokens = np.concatenate((self.alphabet + hops[:, None], sequence), 1)
        targets = np.full_like(tokens, IGNORE)
        targets[:, 1:] = np.where(place < 0, IGNORE, np.take_along_axis(sequence, place.clip(0), axis=1))
        targets[:, : self.length // 2 if self.score == "every" else -1] = IGNORE
        return Samples(tokens, targets, hops)

    def _sequences(self, rng: np.random.Generator, num: int) -> Array:
        if self.repeats:
            return rng.integers(1, self.alphabet + 1, (num, self.length))
        out = np.empty((num, self.length), dtype=np.int64)
        for i in range(self.length):
            before = np.sort(out[:, max(0, i - 2) : i], axis=1)
            out[:, i] = rng.integers(1, self.alphabet + 1 - before.shape[1], num)
            for k in range(before.shape[1]):  # step over what is taken, in ascending order
                out[:, i] += out[:, i] >= before[:, k]
        return out

    def oracle(self, batch: Batch) -> Tensor:
        rows = []
        for question, *sequence in batch.tokens.tolist():
            answers = [IGNORE]
            for start in range(len(sequence)):
                at: int | None = start
                for _ in range(question - self.alphabet):
                    earlier = [m for m in range(at) if sequence[m] == sequence[at]] if at is not None else []
                    at = earlier[-1] + 1 if earlier else None
                answers.append(IGNORE if at is None else sequence[at])
            rows.append(answers)
        return torch.tensor(rows)

    def shortcuts(self, batch: Batch) -> Mapping[str, Feature]:
        row, here = np.nonzero((batch.targets != IGNORE).numpy())
        tokens = batch.tokens.numpy()
        seen = np.cumsum(tokens[:, :, None] == np.arange(1, self.alphabet + 1), 1)
        return {
            "this token and the one before": np.stack((tokens[row, here], tokens[row, here - 1]), 1),
            "the first two tokens": tokens[row, 1:3],
            "the commonest token so far": seen[row, here].argmax(1)[:, None],
        }

    def partial(self, batch: Batch) -> Mapping[str, Feature]:
        """The nearest tokens, which hold the answer of one hop if it is a short one, and where fewer hops lead."""
        row, here = np.nonzero((batch.targets != IGNORE).numpy())
        tokens = batch.tokens.numpy()
        near = np.stack([tokens[row, (here - k).clip(0)] for k in range(4)], 1)
        found: dict[str, Feature] = {"the last four tokens": near}
        sequence = tokens[:, 1:]
        for p in range(1, self.top):
            place = _follow(sequence, np.full(len(sequence), p))[row, here - 1]
            found[f"{p} hops"] = np.where(place < 0, 0, sequence[row, place.clip(0)])[:, None]
        return found


def _follow(sequence: Array, hops: Array) -> Array:
    """The positions that ``hops`` hops lead to from each, ``(samples, length)``; -1 where they lead out."""
    num, length = sequence.shape
    rows = np.arange(num)
    last_seen = np.full((num, int(sequence.max(initial=0)) + 1), -2)
    after = np.empty((num, length), dtype=np.int64)
    for i in range(length):
        after[:, i] = last_seen[rows, sequence[:, i]] + 1
        last_seen[rows, sequence[:, i]] = i
    place = np.broadcast_to(np.arange(length), (num, length))
    for k in range(int(hops.max(initial=0))):
        step = np.where(place < 0, -1, np.take_along_axis(after, place.clip(0), axis=1))
        place = np.where((k < hops)[:, None], step, place)
    return place
