"""The tokens of each split, and where its documents end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mythos_lab.tasks.base import Split
from mythos_lab.tasks.text.corpus import Census, Corpus, Part
from mythos_lab.tasks.text.division import SPLITS
from mythos_lab.tasks.text.pieces import pieces
from mythos_lab.tasks.text.skips import Item, Skips
from mythos_lab.tasks.text.tokenizer import Tokenizer

_TOGETHER, _TOGETHER_BYTES = 256, 2**20  # what is encoded at once; a byte takes some eighty


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
    corpus: Corpus,
    split: Split,
    tokenizer: Tokenizer,
    write: Callable[[NDArray[np.int64]], object],
    done: Callable[[int], object] = lambda num_bytes: None,
) -> tuple[list[int], int, bool]:
    """Write the tokens of a split, and say where documents end, how many bytes they hold, and whether exactly.

    A document without a token is left out and counted in ``corpus.skips``.

    Args:
        corpus: The documents.
        split: Whose documents are meant.
        tokenizer: The tokenizer, fitted.
        write: Takes the tokens in order.
        done: Told of bytes that have been read.
    """
    lengths, ends, num_bytes, counted = tokenizer.num_bytes(), [], 0, 0
    end = np.array([] if tokenizer.end is None else [tokenizer.end], dtype=np.int64)
    num_tokens = num_written = 0  # up to the end of the last document, and beyond it
    for batch in _batches(corpus.parts[split], tokenizer):
        for piece, ids in zip(batch, tokenizer.encode([piece.text for piece in batch]), strict=True):
            counted += 0 if lengths is None else int(lengths[ids].sum())
            num_written += len(ids)
            write(ids)
            done(len(piece.text))
            if not piece.is_last:
                continue
            if num_written == num_tokens:
                corpus.skips.add(Item(piece.part.name, b"", "no token"))
                continue
            num_bytes += len(piece.part.data)
            num_tokens = num_written = num_written + len(end)
            ends.append(num_tokens)
            write(end)
    return ends, num_bytes, counted == num_bytes


class _Piece(NamedTuple):
    """Some of a document."""

    part: Part
    text: bytes
    is_last: bool


def _batches(parts: list[Part], tokenizer: Tokenizer) -> Iterator[list[_Piece]]:
    """Pieces that are encoded at once, by as many threads as there are."""
    batch: list[_Piece] = []
    num_bytes = 0
    for part in parts:
        num_left = len(part.data)
        for text in pieces(part.data, lambda text: tokenizer.encode([text])[0].tolist()):
            num_left -= len(text)
            batch.append(_Piece(part, text, num_left == 0))
            num_bytes += len(text)
            if num_bytes >= _TOGETHER_BYTES or len(batch) == _TOGETHER:
                yield batch
                batch, num_bytes = [], 0
    if batch:
        yield batch
