"""The tokens of each split, and where its documents end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mythos_lab.tasks.base import Split
from mythos_lab.tasks.text.corpus import Census, Corpus, Part
from mythos_lab.tasks.text.division import SPLITS
from mythos_lab.tasks.text.skips import Item, Skips
from mythos_lab.tasks.text.tokenizer import Tokenizer

_TOGETHER = 256  # documents that are encoded at once, by as many threads as there are


@dataclass(frozen=True)
class Tokens:
    """One split.

    Attributes:
        ids: ``(tokens,)`` unsigned integers, documents one after the other; may be mapped from a file.
        ends: ``(documents,)`` where each document ends in ``ids``, increasing.
        num_bytes: Bytes of the text that they were made of.
        exact: Whether the tokenizer's bytes by token add up to ``num_bytes``.
    """

    ids: NDArray[Any]
    ends: NDArray[np.int64]
    num_bytes: int
    exact: bool


@dataclass(frozen=True)
class Prepared:
    """A corpus as tokens.

    Attributes:
        splits: Tokens by split.
        fingerprint: Hash of the bytes of the corpus and of the split each went to.
        census: What reading the corpus met.
        skips: What was left out.
    """

    splits: dict[Split, Tokens]
    fingerprint: str
    census: Census
    skips: Skips


def as_bytes(corpus: Corpus) -> Prepared:
    """The bytes of a corpus as they stand, in memory."""
    splits = {}
    for split in SPLITS:
        text = corpus.text[split]
        ends = np.cumsum([len(part.data) for part in corpus.parts[split]], dtype=np.int64)
        splits[split] = Tokens(np.frombuffer(text, np.uint8), ends, len(text), True)
    return Prepared(splits, corpus.fingerprint(), corpus.census, corpus.skips)


def encode(
    corpus: Corpus, split: Split, tokenizer: Tokenizer, write: Callable[[NDArray[np.int64]], object]
) -> tuple[list[int], int, bool]:
    """Write the tokens of a split, and say where documents end, how many bytes they hold, and whether exactly.

    A document without a token is left out and counted in ``corpus.skips``.
    """
    lengths, ends, num_bytes, counted = tokenizer.num_bytes(), [], 0, 0
    end = np.array([] if tokenizer.end is None else [tokenizer.end], dtype=np.int64)
    num_tokens = 0
    for parts in _batches(corpus.parts[split]):
        for part, ids in zip(parts, tokenizer.encode([bytes(part.data) for part in parts]), strict=True):
            if not len(ids):
                corpus.skips.add(Item(part.name, b"", "no token"))
                continue
            counted += 0 if lengths is None else int(lengths[ids].sum())
            num_bytes += len(part.data)
            num_tokens += len(ids) + len(end)
            ends.append(num_tokens)
            write(np.concatenate([ids, end]))
    return ends, num_bytes, counted == num_bytes


def _batches(parts: list[Part]) -> Iterator[list[Part]]:
    remaining = iter(parts)
    while batch := list(islice(remaining, _TOGETHER)):
        yield batch
