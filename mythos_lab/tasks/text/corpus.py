"""Documents, and which split each belongs to."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mythos_lab.tasks.base import Split

SPLITS: tuple[Split, ...] = ("train", "validation", "test")

_FEWEST_TO_SPLIT = 3  # documents; fewer would leave a split without any
_NUM_NAMED = 3


class Source(Protocol):
    """Where documents come from.

    Attributes:
        place: What to call it in a message.
        field: The recipe's field that names it.
        skipped: What was left out, with the reason; filled as documents are read.
        num_files: Files that gave at least one document; ``None`` where rows have no files.
    """

    place: str
    field: str
    skipped: dict[str, str]
    num_files: int | None

    def key(self) -> str:
        """A hash of what the documents are a function of."""
        ...

    def documents(self) -> Iterator[tuple[str, bytes]]:
        """Names, each used once, with UTF-8 text that is not empty, in the order of the corpus."""
        ...

    def hint(self) -> str:
        """Why there may be no document, for a message; empty where nothing is known."""
        ...


@dataclass(frozen=True)
class Division:
    """How documents go to splits.

    Attributes:
        held_out: Share of the documents in validation, and as many again in test.
        seed: Decides which.
        max_bytes: Most bytes of the training split, the first ones; ``None`` keeps all.
    """

    held_out: float
    seed: int
    max_bytes: int | None = None


@dataclass(frozen=True)
class Part:
    """A document, or what one split has of it."""

    name: str
    data: bytes | memoryview


@dataclass
class Corpus:
    """The documents of each split.

    Attributes:
        parts: Documents by split, in the order of the source.
        skipped: What was left out, with the reason.
        num_files: Files that gave at least one document; ``None`` where rows have no files.
    """

    parts: dict[Split, list[Part]]
    skipped: dict[str, str] = field(default_factory=dict)
    num_files: int | None = None

    @cached_property
    def files(self) -> dict[Split, list[tuple[str, str]]]:
        """``(name, sha256)`` of the documents by split."""
        return {s: [(p.name, hashlib.sha256(p.data).hexdigest()) for p in parts] for s, parts in self.parts.items()}

    @cached_property
    def text(self) -> dict[Split, bytes]:
        """The bytes of each split, documents one after the other; in memory."""
        return {split: b"".join(part.data for part in parts) for split, parts in self.parts.items()}

    def fingerprint(self) -> str:
        """A hash of all bytes and where they went."""
        return hashlib.sha256(repr(sorted(self.files.items())).encode()).hexdigest()


def gather(source: Source, division: Division, spool: Path | None = None) -> Corpus:
    """Read a source and divide its documents.

    Documents go to a split by the hash of the seed and their name, in that order, so a new one moves at most a few
    others. Fewer than three documents are split by position instead: the last bytes of each are held out.

    Args:
        spool: A file that takes the bytes while the corpus is used; ``None`` keeps them in memory.

    Raises:
        ValueError: The source has no usable document.
    """
    names, lengths = [], []
    with io.BytesIO() if spool is None else spool.open("wb") as file:
        for name, data in source.documents():
            names.append(name)
            lengths.append(file.write(data))
        whole: Any = file.getvalue() if isinstance(file, io.BytesIO) else b""
    if spool is not None and names:
        whole = np.memmap(spool, np.uint8, "r")
    if not names:
        why = summarised(source.skipped) or source.hint()
        raise ValueError(f"{source.field}: no usable text in {source.place!r}: {why}")
    ends = np.array(list(accumulate(lengths)), dtype=np.int64)
    parts = _by_position(ends, division) if len(names) < _FEWEST_TO_SPLIT else _by_document(names, ends, division)
    view = memoryview(whole)
    divided = {split: _capped(view, cuts, division, split) for split, cuts in parts.items()}
    return Corpus(
        {s: [Part(names[i], view[a:b]) for i, a, b in cuts if a < b] for s, cuts in divided.items()},
        dict(source.skipped),
        source.num_files,
    )


def summarised(skipped: dict[str, str]) -> str:
    """``3 skipped (a.txt: empty, b.txt: not UTF-8 at byte 0, ...)``; nothing where none was."""
    if not skipped:
        return ""
    named = [f"{name}: {reason}" for name, reason in list(skipped.items())[:_NUM_NAMED]]
    return f"{len(skipped)} skipped ({', '.join(named + ['...'] * (len(skipped) > _NUM_NAMED))})"


def text_or_reason(value: Any) -> tuple[bytes, str]:
    """A row's text as UTF-8, and why it cannot be used, if so."""
    if value is None:
        return b"", "null"
    if not isinstance(value, str):
        return b"", f"{type(value).__name__}, not text"
    try:
        return value.encode(), "" if value else "empty"
    except UnicodeEncodeError as error:
        return b"", f"a lone surrogate at character {error.start}"


_Cut = tuple[int, int, int]
"""A document, and where its bytes begin and end among those of all documents."""


def _by_document(names: list[str], ends: NDArray[np.int64], division: Division) -> dict[Split, list[_Cut]]:
    """Each document to one split; each held-out split gets its share of their number, at least one."""
    rank = [hashlib.sha256(f"{division.seed}/{name}".encode()).digest() for name in names]
    order = sorted(range(len(names)), key=rank.__getitem__)
    num_held = max(1, round(division.held_out * len(order)))
    held: dict[int, Split] = dict.fromkeys(order[:num_held], "validation")
    held |= dict.fromkeys(order[num_held : 2 * num_held], "test")
    parts: dict[Split, list[_Cut]] = {split: [] for split in SPLITS}
    begin = 0
    for document, end in enumerate(ends.tolist()):
        parts[held.get(document, "train")].append((document, begin, end))
        begin = end
    return parts


def _by_position(ends: NDArray[np.int64], division: Division) -> dict[Split, list[_Cut]]:
    parts: dict[Split, list[_Cut]] = {split: [] for split in SPLITS}
    begin = 0
    for document, end in enumerate(ends.tolist()):
        held = int(division.held_out * (end - begin))
        cuts = (begin, end - 2 * held, end - held, end)
        for split, first, last in zip(SPLITS, cuts[:-1], cuts[1:], strict=True):
            parts[split].append((document, first, last))
        begin = end
    return parts


def _capped(view: memoryview, cuts: list[_Cut], division: Division, split: Split) -> list[_Cut]:
    """The cuts, moved back to where a character begins, and those of training within ``max_bytes``."""
    moved = [(document, _character(view, first), _character(view, last)) for document, first, last in cuts]
    if split != "train" or division.max_bytes is None:
        return moved
    kept, left = [], division.max_bytes
    for document, first, last in moved:
        if left <= 0:
            break
        kept.append((document, first, last if last - first <= left else _character(view, first + left)))
        left -= last - first
    return kept


def _character(view: memoryview, cut: int) -> int:
    while 0 < cut < len(view) and view[cut] & 0xC0 == 0x80:
        cut -= 1
    return cut
