"""Several sources as one: a data set's own splits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from mythos_lab.tasks.base import Split
from mythos_lab.tasks.text.corpus import Census, Source
from mythos_lab.tasks.text.division import HELD_OUT
from mythos_lab.tasks.text.skips import Item

MAX_SHARED = 0.05
"""Largest share of a held-out split that may stand in another one, unless told otherwise."""


class OnDisk(Source, Protocol):
    """A source that is files of this disk."""

    def num_bytes(self) -> int:
        """Bytes of the files, as they lie there."""
        ...


class OwnSplits:
    """The documents of several sources, each in a split of its own; what has none is divided from training.

    See :class:`mythos_lab.tasks.text.corpus.Source`.

    Args:
        sources: A source for training, and others by split.
        place: What to call all of them; ``None`` is the place of training's.
        others: Splits that the data set has beside these, which are not read.
    """

    def __init__(self, sources: Mapping[Split, OnDisk], place: str | None = None, others: Sequence[str] = ()) -> None:
        self.sources, self.others = sources, others
        self.place, self.field = place or sources["train"].place, sources["train"].field
        self.num_files: int | None = None

    def key(self) -> str:
        return own_key({split: source.key() for split, source in self.sources.items()})

    def documents(self) -> Iterator[Item]:
        for split, source in self.sources.items():
            yield from in_split(split, source.documents(), source)
        files = [source.num_files for source in self.sources.values()]
        self.num_files = None if None in files else sum(num or 0 for num in files)

    def num_bytes(self) -> int:
        """Bytes of the files of all sources."""
        return sum(source.num_bytes() for source in self.sources.values())

    def hint(self) -> str:
        return self.sources["train"].hint()

    def unread(self) -> str:
        said = [source.unread() for source in self.sources.values()]
        if self.others:
            said.append(f"splits of other names are not read ({', '.join(self.others)})")
        return "; ".join(filter(None, said))


def check_own(census: Census, place: str, max_shared: float | None, held_out: float | None) -> None:
    """Refuse splits of the data's own that stand in each other, and fields that do not act on them.

    Args:
        census: What reading the data met.
        place: What to call it.
        max_shared: Largest share of a held-out split that may stand in another; ``None`` where nobody said so.
        held_out: Share of the documents that is divided from training; ``None`` likewise.

    Raises:
        ValueError: More of a split is shared, or a field has no effect.
    """
    if max_shared is not None and not census.num_own:
        raise ValueError(f"max_shared is of splits that the data has itself, and {place!r} has none")
    if held_out is not None and len(census.num_own) == len(HELD_OUT):
        raise ValueError(f"held_out: {place!r} has its own validation and test splits, so that nothing is divided")
    most = MAX_SHARED if max_shared is None else max_shared
    for split, num in census.num_own.items():
        if (shared := census.num_shared[split]) > most * num:
            raise ValueError(
                f"max_shared={most:g}: {shared} of {num} documents of the {split} split of {place!r} stand in another "
                "split too, so that it would tell what was learned by heart"
            )


def own_key(keys: Mapping[Split, str]) -> str:
    """A hash of what splits are a function of."""
    return hashlib.sha256(json.dumps(["splits", *keys.items()]).encode()).hexdigest()


def in_split(split: Split, items: Iterator[Item], source: Source) -> Iterator[Item]:
    """The items of a source as those of a split.

    Raises:
        ValueError: No document is among them; nothing is to stand in for it unsaid.
    """
    num_documents = 0
    for item in items:
        num_documents += not item.reason
        yield item if split == "train" else item._replace(place=f"{split}: {item.place}", split=split)
    if split != "train" and not num_documents:
        why = source.hint()
        raise ValueError(f"{source.field}: no usable text for {split} in {source.place!r}{why and ': '}{why}")
