"""What a generator makes, and to which split it may go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mythos_lab.tasks.base import Array, Batch, Split

Words = NDArray[np.uint64]

SHARES = 8  # of all problems: one of validation, one of test and what is out of distribution, the rest of training


@dataclass(frozen=True)
class Samples:
    """Samples as arrays; see :class:`~mythos_lab.tasks.base.Batch` for the fields of the same name.

    Attributes:
        problem: ``(samples, ...)`` integers that two samples share if they ask the same; the tokens and the mask
            where it is left out.
    """

    tokens: Array
    targets: Array
    difficulty: Array | None = None
    allowed: Array | None = None
    slices: dict[str, Array] = field(default_factory=dict)
    records: dict[str, Array] = field(default_factory=dict)
    problem: Array | None = None
    real: Array | None = None

    def map(self, change: Callable[[Array], Array]) -> Samples:
        """The samples with every array changed."""
        return Samples(
            change(self.tokens),
            change(self.targets),
            None if self.difficulty is None else change(self.difficulty),
            None if self.allowed is None else change(self.allowed),
            {name: change(array) for name, array in self.slices.items()},
            {name: change(array) for name, array in self.records.items()},
            None if self.problem is None else change(self.problem),
            None if self.real is None else change(self.real),
        )

    def num_bytes(self) -> int:
        """Memory that the arrays take."""
        found = 0

        def add(array: Array) -> Array:
            nonlocal found
            found += array.nbytes
            return array

        self.map(add)
        return found

    def identities(self) -> Words:
        """A hash of each sample's problem, ``(samples,)``."""
        if self.problem is not None:
            return row_hash(self.problem)
        if self.allowed is None:
            return row_hash(self.tokens)
        return row_hash(self.tokens) ^ row_hash(np.packbits(self.allowed.reshape(len(self.tokens), -1), axis=1))

    def batch(self) -> Batch:
        """The samples as tensors that belong to the caller."""

        def tensor(array: Array) -> torch.Tensor:
            return torch.from_numpy(np.array(array, dtype=bool if array.dtype == bool else np.int64))

        return Batch(
            tensor(self.tokens),
            tensor(self.targets),
            None if self.allowed is None else tensor(self.allowed),
            None if self.difficulty is None else tensor(self.difficulty),
            {name: tensor(array) for name, array in self.slices.items()},
            {name: tensor(array) for name, array in self.records.items()},
            None if self.real is None else tensor(self.real),
        )


def concatenate(parts: Sequence[Samples]) -> Samples:
    """Samples one after the other."""
    if len(parts) == 1:
        return parts[0]

    def join(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        if isinstance(values[0], dict):
            return {key: np.concatenate([value[key] for value in values]) for key in values[0]}
        return None if values[0] is None else np.concatenate(values)

    return Samples(*(join(name) for name in Samples.__dataclass_fields__))


def fits(samples: Samples, split: Split) -> NDArray[np.bool_]:
    """Which samples may go to a split. A problem's hash decides, so that no two splits share one."""
    share = samples.identities() % np.uint64(SHARES)
    if split == "train":
        return share >= 2
    return share == (0 if split == "validation" else 1)


def compact(array: Array) -> Array:
    """The array in the smallest type that holds it."""
    if array.dtype == bool or not array.size:
        return array
    low, high = int(array.min()), int(array.max())
    return array.astype(np.result_type(np.min_scalar_type(low), np.min_scalar_type(high)), copy=False)


def row_hash(rows: Array) -> Words:
    """A 64-bit hash of each row: a multilinear form with fixed random coefficients, mixed (SplitMix64)."""
    flat = rows.reshape(len(rows), -1)
    coefficients = _coefficients(flat.shape[1])
    total = (flat.astype(np.int64).view(np.uint64) + np.uint64(1)) @ coefficients
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        total = (total ^ (total >> np.uint64(shift))) * np.uint64(factor)
    mixed: Words = total ^ (total >> np.uint64(31))
    return mixed


@lru_cache(maxsize=64)
def _coefficients(count: int) -> Words:
    words = np.random.Generator(np.random.Philox(20260101)).integers(0, 2**63, count, dtype=np.uint64)
    odd: Words = words * np.uint64(2) + np.uint64(1)
    return odd
