"""What of a corpus was left out, counted by reason, and how much of that is too much."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mythos_lab.tasks.base import Split

BLANK, VOID = "blank line", "empty file"
NO_LOSS = frozenset({BLANK, VOID})
"""Reasons for which nothing is lost: there was nothing."""

_NUM_NAMED = 3


class Item(NamedTuple):
    """What stands at one place of a corpus: a document, or why there is none.

    Attributes:
        place: What to call it in a message (``rows.jsonl line 3``); each is used once.
        data: UTF-8 text; empty where there is a reason.
        reason: Why it cannot be used, in words that others share; empty where it can.
        detail: What else is known of the reason.
        split: The split in which its data set has it; ``train`` is divided into those that the data set has not.
    """

    place: str
    data: bytes
    reason: str = ""
    detail: str = ""
    split: Split = "train"


@dataclass
class Skips:
    """What was left out.

    Attributes:
        counts: How many places, by reason.
        named: The first few places, with what is known of each, by reason.
        first: The first place that was a loss, with its reason.
    """

    counts: dict[str, int] = field(default_factory=dict)
    named: dict[str, list[str]] = field(default_factory=dict)
    first: str = ""

    def add(self, item: Item) -> None:
        """Count what an item says was left out."""
        detail = f" ({item.detail})" if item.detail else ""
        self.counts[item.reason] = self.counts.get(item.reason, 0) + 1
        named = self.named.setdefault(item.reason, [])
        if len(named) < _NUM_NAMED:
            named.append(item.place + detail)
        if not self.first and item.reason not in NO_LOSS:
            self.first = f"{item.place}: {item.reason}{detail}"

    @property
    def num(self) -> int:
        """All that was left out."""
        return sum(self.counts.values())

    @property
    def num_lost(self) -> int:
        """Of it, what held something."""
        return sum(num for reason, num in self.counts.items() if reason not in NO_LOSS)

    def reasons(self) -> str:
        """``398 not JSON, 1 null``."""
        return ", ".join(f"{num} {reason}" for reason, num in self.counts.items())

    def __str__(self) -> str:
        """``2 skipped: 1 null (rows.jsonl line 3), 1 not JSON (rows.jsonl line 4 (...))``; nothing where none was."""
        if not self.counts:
            return ""
        parts = []
        for reason, num in self.counts.items():
            places = [*self.named[reason], *(["..."] if num > len(self.named[reason]) else [])]
            parts.append(f"{num} {reason} ({', '.join(places)})")
        return f"{self.num} skipped: {', '.join(parts)}"

    def check(self, num_documents: int, place: str, most: float) -> None:
        """Refuse a corpus of which too much was left out.

        Args:
            num_documents: What was not.
            place: What to call the corpus.
            most: The largest share of its documents that may be.

        Raises:
            ValueError: More was; the line names the first place.
        """
        total = num_documents + self.num_lost
        if self.num_lost > most * total:
            raise ValueError(
                f"max_skipped={most:g}: {self.num_lost} of {total} documents of {place!r} cannot be read "
                f"({self.reasons()}); the first is {self.first}"
            )

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return {"counts": self.counts, "named": self.named, "first": self.first}


def text_or_reason(place: str, value: Any) -> Item:
    """The item of a row's field."""
    if value is None:
        return Item(place, b"", "null")
    if not isinstance(value, str):
        return Item(place, b"", f"{type(value).__name__}, not text")
    if not value:
        return Item(place, b"", "empty")
    try:
        return Item(place, value.encode())
    except UnicodeEncodeError as error:
        return Item(place, b"", "lone surrogate", f"at character {error.start}")
