"""Documents, read from their source and divided into splits."""

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

from mythos_lab.tasks.base import HeldOut, Split
from mythos_lab.tasks.text.division import Cut, Division, divide
from mythos_lab.tasks.text.skips import Item, Skips


class Source(Protocol):
    """Where documents come from.

    Attributes:
        place: What to call it in a message.
        field: The recipe's field that names it.
        num_files: Files that gave at least one document; ``None`` where rows have no files.
    """

    place: str
    field: str
    num_files: int | None

    def key(self) -> str:
        """A hash of what the documents are a function of."""
        ...

    def documents(self) -> Iterator[Item]:
        """What stands at each place, in the order of the corpus: a document, or why there is none."""
        ...

    def hint(self) -> str:
        """Why there may be no document, for a message; empty where nothing is known."""
        ...

    def unread(self) -> str:
        """What beside the documents looks as if it was meant to be read; empty where nothing does."""
        ...


@dataclass(frozen=True)
class Part:
    """A document, or a stretch of one."""

    name: str
    data: bytes | memoryview


@dataclass(frozen=True)
class Census:
    """What reading a corpus met.

    Attributes:
        num_documents: Documents that could be used.
        num_copies: Of them, those whose content another one before them has.
        num_dropped: Of these, those in no split: held-out splits have a content once.
        stretches: Stretches that a text of fewer than three documents was cut into; 0 where documents are whole.
        stretch: Bytes of one of them.
        num_files: Files that gave at least one document; ``None`` where rows have no files.
        unread: What looks as if it was meant to be read, and was not.
        num_own: Different documents of each held-out split that the data has itself; the others are divided.
        num_shared: How many of these stand in another split too, of which the later one has them (training, validation,
            test).
    """

    num_documents: int
    num_copies: int
    num_dropped: int
    stretches: int
    stretch: int
    num_files: int | None
    unread: str
    num_own: dict[HeldOut, int] = field(default_factory=dict)
    num_shared: dict[HeldOut, int] = field(default_factory=dict)


@dataclass
class Corpus:
    """The documents of each split.

    Attributes:
        parts: Documents by split, in the order of the source.
        census: What reading them met.
        skips: What was left out.
    """

    parts: dict[Split, list[Part]]
    census: Census
    skips: Skips = field(default_factory=Skips)

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


def gather(source: Source, division: Division, max_skipped: float, spool: Path | None = None) -> Corpus:
    """Read a source and divide its documents.

    Args:
        source: Where the documents come from.
        division: How they go to splits.
        max_skipped: Largest share of the documents that may be unusable.
        spool: A file that takes the bytes while the corpus is used; ``None`` keeps them in memory.

    Raises:
        ValueError: The source has no usable document, or too many that are not.
    """
    names, lengths, splits, skips = [], [], [], Skips()
    with io.BytesIO() if spool is None else spool.open("wb") as file:
        for item in source.documents():
            if item.reason:
                skips.add(item)
                continue
            names.append(item.place)
            splits.append(item.split)
            lengths.append(file.write(item.data))
        whole: Any = file.getvalue() if isinstance(file, io.BytesIO) else b""
    if spool is not None and names:
        whole = np.memmap(spool, np.uint8, "r")
    if not names:
        why = str(skips) or source.hint()
        raise ValueError(f"{source.field}: no usable text in {source.place!r}: {why}")
    skips.check(len(names), source.place, max_skipped)
    view = memoryview(whole)
    divided = divide(view, list(accumulate(lengths)), division, splits)
    parts = {
        split: [Part(_named(names[cut.document], cut, divided.stretches), view[cut.begin : cut.end]) for cut in cuts]
        for split, cuts in divided.cuts.items()
    }
    found = (divided.num_copies, divided.num_dropped, divided.stretches, divided.stretch)
    own = (divided.num_own, divided.num_shared)
    return Corpus(parts, Census(len(names), *found, source.num_files, source.unread(), *own), skips)


def _named(name: str, cut: Cut, stretches: int) -> str:
    return f"{name}[{cut.begin}:{cut.end}]" if stretches else name
