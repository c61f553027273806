"""Tasks whose samples are drawn: splits that share no problem, finite training sets, chance and audit, once for all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from mythos_blocks.declaring.types import Many, NoneOrMore
from mythos_lab.tasks.audit import bayes_accuracy, lower_end
from mythos_lab.tasks.base import IGNORE, Array, Batch, HeldOut, Shortcut, Split, Task
from mythos_lab.tasks.kept import Kept
from mythos_lab.tasks.randomness import CHUNK, generator
from mythos_lab.tasks.samples import SHARES, Samples, compact, concatenate, fits


@dataclass(frozen=True)
class Guess:
    """Answers by a rule, ``(scored answers,)``: for features whose values are too many to learn a prediction from."""

    answers: Array


Feature = Array | list[Array] | Guess
"""Integers read off the input, ``(scored answers, features)``; or several renderings of one thing, from coarse to fine,
of which the best counts, as a finite sample knows coarse features better than fine ones; or guesses."""

_KEPT = Kept()
"""What trials on one task ask for again: all that is held out, and what training begins with."""

_MAX_DRAWS = 200
_FEWEST_PROBLEMS = 64
_NUM_GUESSED = 8192  # samples on which chance is measured where no closed form is declared


class Generated(Task):
    """A task that draws its samples. A subclass draws, solves and renders; everything else is here.

    A problem's hash decides its split: six of eight go to training, one to validation, one to test and to the
    samples out of distribution. No two splits share a problem, however small the space is that they are drawn from.

    Args:
        validation_size: Samples of the validation split.
        test_size: Samples of the test split.
        ood_size: Samples out of distribution, for tasks that have such a split.
        ood_range: How far the difficulty goes beyond the training's, out of distribution; 0 for no such samples.
        train_size: Distinct training samples, in a new order every epoch; ``null`` never ends.
        seed: Seed of the data.

    Attributes:
        symbols: What tokens look like to a person, by token.
        low: Least difficulty in training.
        high: Largest difficulty in training.
        ragged: Whether samples of one difficulty differ in length.
        max_shortcut: How far a declared shortcut may lead from chance to every answer right; what is measured is
            tested against it.
    """

    format: ClassVar[int] = 1  # counts up when the same fields come to mean other samples
    symbols: tuple[str, ...] = ()
    held_out_alike = True
    low: int = 0
    high: int = 0
    ragged: bool = False
    max_shortcut: float = 0.1

    def __init__(
        self,
        *,
        validation_size: Many = 2048,
        test_size: Many = 2048,
        ood_size: Many = 2048,
        ood_range: NoneOrMore = 2,
        train_size: Many | None = None,
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        self._sizes = {"validation": validation_size, "test": test_size, "ood": ood_size}
        self.ood_range, self.train_size, self.seed = ood_range, train_size, seed
        # A finite training set is visited in random order: all of it stays.
        self._trained = lru_cache(maxsize=max(8, -(-(train_size or 0) // CHUNK) + 4))(self._make_chunk)
        self._order = lru_cache(maxsize=2)(self._make_order)

    @property
    def top(self) -> int:
        """The largest difficulty of all, those out of distribution included."""
        return self.high + self.ood_range

    def levels(self, rng: np.random.Generator, num: int, split: Split) -> Array:
        """Difficulties, evenly drawn: of training's range, or beyond it."""
        low, high = (self.high + 1, self.top) if split == "ood" else (self.low, self.high)
        return rng.integers(low, high + 1, num)

    def draw(self, rng: np.random.Generator, num: int, split: Split) -> Samples:
        """Draw samples like those of a split.

        Raises:
            ValueError: The fields leave too few different problems.
        """
        raise NotImplementedError

    def spans(self, low: int, high: int, lengths: Callable[[int], int]) -> None:
        """Set the range of difficulties of training, and the positions from the length at a difficulty.

        Raises:
            ValueError: The range is empty.
        """
        if low > high:
            name = self.difficulty_name
            raise ValueError(f"min_{name}={low} exceeds max_{name}={high}")
        self.low, self.high = low, high
        self.positions = lengths(high)
        self.ood_positions = lengths(self.top) if self.ood_range else None
        self.pads = self.ragged or lengths(low) < lengths(high)
        self.ood_pads = self.ood_range > 0 and (self.ragged or lengths(high + 1) < lengths(self.top))

    def width(self, split: Split) -> int:
        """Positions of a split's samples."""
        return self.ood_positions or self.positions if split == "ood" else self.positions

    def oracle(self, batch: Batch) -> Tensor:
        """The right tokens from ``tokens`` and ``allowed`` alone, ``(batch, positions)``; read where targets are
        scored."""
        raise NotImplementedError

    def shortcuts(self, batch: Batch) -> Mapping[str, Feature]:
        """Features that need no reasoning, ``(scored answers, features)`` each, in row-major order."""
        return {}

    def partial(self, batch: Batch) -> Mapping[str, Feature]:
        """Features that are an honest part of the work, as in ``shortcuts``: reported, and no way around it."""
        return {}

    def size(self, split: HeldOut) -> int:
        return 0 if split == "ood" and not self.ood_range else self._sizes[split]

    def batch(self, split: Split, indices: range) -> Batch:
        rows = np.asarray(indices)
        if split != "train" and len(rows) and rows.max() >= self.size(split):
            raise IndexError(f"sample {rows.max()} of {self.size(split)} in {split}")
        if split == "train" and self.train_size is not None:
            epochs = rows // self.train_size
            rows = np.array(
                [self._order(int(e))[i] for e, i in zip(epochs, rows % self.train_size, strict=True)], dtype=np.int64
            )
        return self._gather(split, rows).batch()

    @cached_property
    def _fields(self) -> str:
        return self.spec.model_dump_json()

    @cached_property
    def _guessed(self) -> float:
        samples = self.draw(generator(self.seed, "audit", 0), _NUM_GUESSED, "test")
        scored = samples.targets != IGNORE
        rank = np.broadcast_to(np.cumsum(scored, 1), scored.shape)[scored]
        number = np.broadcast_to(scored.sum(1, keepdims=True), scored.shape)[scored]
        return bayes_accuracy(np.stack((rank, number), 1), samples.targets[scored])

    @property
    def chance(self) -> float:
        """Accuracy of the likeliest answer at each place, measured where no closed form is declared."""
        return self._guessed

    def fingerprint(self) -> str:
        fields = json.dumps(self.spec.model_dump(), sort_keys=True)
        digest = hashlib.sha256(f"{self.format}/{fields}".encode())
        # The other splits come from the same code by the same fields; drawing them too would only cost time.
        splits: tuple[Split, ...] = ("train", "validation")
        for split in splits:
            chunk = self._chunk(split, 0)
            for array in (chunk.tokens, chunk.targets, chunk.allowed):
                if array is not None:
                    digest.update(np.ascontiguousarray(array).astype(np.int64).tobytes())
        return digest.hexdigest()

    def audit(self, num_samples: int = 4096, *, partial: bool = True) -> list[Shortcut]:
        """Bayes accuracy of every declared feature at every difficulty. Half is fitted, half measured."""
        found = []
        splits: tuple[Split, ...] = ("test", "ood") if self.ood_range else ("test",)
        for split in splits:
            batch = self._at_every_difficulty(num_samples, split)
            scored = (batch.targets != IGNORE).numpy()
            label = batch.targets.numpy()[scored]
            level = None if batch.difficulty is None else batch.per_position(batch.difficulty).numpy()[scored]
            features: list[tuple[str, Feature, bool]] = [(n, f, False) for n, f in self.shortcuts(batch).items()]
            if partial:
                features += [(n, f, True) for n, f in self.partial(batch).items()]
            for value in [None] if level is None else np.unique(level).tolist():
                rows = np.ones(len(label), dtype=bool) if level is None else level == value
                chance = float(np.unique(label[rows], return_counts=True)[1].max() / rows.sum())
                num = int(rows.sum() - rows.sum() // 2)
                for name, feature, is_partial in features:
                    accuracy = _accuracy(feature, label, rows)
                    found.append(Shortcut(name, value, accuracy, lower_end(accuracy, num), chance, num, is_partial))
        return found

    def render(self, batch: Batch, row: int) -> str:
        tokens, targets = batch.tokens[row].tolist(), batch.targets[row].tolist()
        answers = " ".join(self._symbol(t) for t in targets if t != IGNORE)
        return f"{' '.join(filter(None, map(self._symbol, tokens)))}  ->  {answers}"

    def _symbol(self, token: int) -> str:
        return self.symbols[token] if token < len(self.symbols) else str(token)

    def _at_every_difficulty(self, num_samples: int, split: Split) -> Batch:
        """At least about ``num_samples`` at each difficulty of a task that draws them evenly."""
        rng = generator(self.seed, "audit", 1 + (split == "ood"))
        samples = self.draw(rng, num_samples, split)
        if samples.difficulty is None or samples.difficulty.ndim > 1:
            return samples.batch()
        more = len(np.unique(samples.difficulty)) - 1
        return concatenate([samples, *([self.draw(rng, more * num_samples, split)] if more else [])]).batch()

    def _make_order(self, epoch: int) -> Array:
        assert self.train_size is not None
        return generator(self.seed, "order", epoch).permutation(self.train_size)

    def _gather(self, split: Split, rows: Array) -> Samples:
        chunks = rows // CHUNK
        parts, places = [], []
        for chunk in np.unique(chunks).tolist():
            place = np.flatnonzero(chunks == chunk)
            within = rows[place] % CHUNK
            parts.append(self._chunk(split, chunk).map(lambda array, within=within: array[within]))  # type: ignore[misc]
            places.append(place)
        if not parts:
            return self._chunk(split, 0).map(lambda array: array[:0])
        back = np.argsort(np.concatenate(places))
        return concatenate(parts).map(lambda array: array[back])

    def _chunk(self, split: Split, chunk: int) -> Samples:
        if split == "train" and chunk > 0:  # apart: it goes on to ever new ones
            return self._trained(split, chunk)
        return _KEPT.once((type(self), self._fields, split, chunk), lambda: self._make_chunk(split, chunk))

    def _make_chunk(self, split: Split, chunk: int) -> Samples:
        rng = generator(self.seed, split, chunk)
        share = (SHARES - 2) / SHARES if split == "train" else 1 / SHARES
        parts: list[Samples] = []
        missing = CHUNK
        for _ in range(_MAX_DRAWS):
            samples = self.draw(rng, int(missing / share * 1.1) + 16, split)
            kept = np.flatnonzero(fits(samples, split))[:missing]
            parts.append(samples.map(lambda array, kept=kept: array[kept]))  # type: ignore[misc]
            missing -= len(kept)
            if not missing:
                whole = concatenate(parts).map(compact)
                pads = self.ood_pads if split == "ood" else self.pads
                return whole if pads else replace(whole, real=None)
        raise ValueError(f"these fields leave too few problems for {split} to have any that no other split has")


def _accuracy(feature: Feature, label: Array, rows: Array) -> float:
    if isinstance(feature, Guess):
        return float((feature.answers[rows] == label[rows]).mean())
    forms = feature if isinstance(feature, list) else [feature]
    return max(bayes_accuracy(form[rows], label[rows]) for form in forms)


def enough(num_problems: int, said: str) -> None:
    """``ValueError`` where there are too few problems for splits that share none."""
    if num_problems < _FEWEST_PROBLEMS:
        raise ValueError(f"{said} make {num_problems} problems at most; splits that share none need {_FEWEST_PROBLEMS}")


def places(batch: Batch) -> Array:
    """Which of its sample's answers each one is, from 1: ``(scored answers,)``."""
    scored = (batch.targets != IGNORE).numpy()
    return np.cumsum(scored, 1)[scored]


def filled(batch: Batch, answers: Array) -> Tensor:
    """A tensor like the targets with ``answers`` ``(scored answers,)`` at the scored positions, in row-major order."""
    out = torch.full_like(batch.targets, IGNORE)
    out[batch.targets != IGNORE] = torch.from_numpy(np.ascontiguousarray(answers)).long()
    return out
