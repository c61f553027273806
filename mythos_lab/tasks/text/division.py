"""Which split each document belongs to."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from mythos_lab.tasks.base import HeldOut, Split

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
HELD_OUT: tuple[HeldOut, ...] = ("validation", "test")
FEWEST_TO_SPLIT = 3  # documents; fewer would leave a split without any

_NUM_STRETCHES = 16  # of a text in each held-out split: enough to tell how they scatter, and few places where it breaks


@dataclass(frozen=True)
class Division:
    """How documents go to splits.

    Attributes:
        held_out: Share of the different documents in validation, and as many again in test.
        seed: Decides which.
        max_bytes: Most bytes of the training split, the first ones; ``None`` keeps all.
        by: ``content``: the hash of a document's content decides, so that copies are in one split. ``position``: the
            last documents are held out, of fewer than three the last bytes.
        stretch: Fewest bytes of the stretches that fewer than three documents are cut into.
    """

    held_out: float
    seed: int
    max_bytes: int | None = None
    by: Literal["content", "position"] = "content"
    stretch: int = 1


class Cut(NamedTuple):
    """A document, or a stretch of one, by where its bytes begin and end among those of all documents."""

    document: int
    begin: int
    end: int


@dataclass(frozen=True)
class Divided:
    """Where the bytes of a corpus went.

    Attributes:
        cuts: What each split has, in the order of the corpus.
        num_copies: Documents whose content another one before them has.
        num_dropped: Of them, those in no split: held-out splits have a content once.
        stretches: Stretches that a text of fewer than three documents was cut into; 0 where documents are whole.
        stretch: Bytes of one of them.
        num_own: Different documents of each held-out split that was given.
        num_shared: Of them, those that were given for another split too.
    """

    cuts: dict[Split, list[Cut]]
    num_copies: int
    num_dropped: int
    stretches: int = 0
    stretch: int = 0
    num_own: dict[HeldOut, int] = field(default_factory=dict)
    num_shared: dict[HeldOut, int] = field(default_factory=dict)


def divide(view: memoryview, ends: Sequence[int], division: Division, splits: Sequence[Split] = ()) -> Divided:
    """Give each document to one split, and what repeats it to the same one.

    Two documents are the same where nothing but case and white space tells them apart. Fewer than three different
    ones are cut into stretches of equal length, of which each goes to one split as a document does, so that held-out
    splits are a sample of the whole text.

    Args:
        view: The bytes of all documents, one after the other.
        ends: Where each document ends.
        division: How they go to splits.
        splits: Which split has each document already, so that only what is missing is divided from those of training.
            What stands in two of them is left out of the earlier one: training, validation, test. Empty: all training.

    Raises:
        ValueError: A text of fewer than three documents has fewer than three different stretches, or the end of one is
            to be held out that has a split already.
    """
    splits = splits or ["train"] * len(ends)
    whole = [Cut(i, begin, end) for i, (begin, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True))]
    contents = [_content(view[cut.begin : cut.end]) for cut in whole]
    given = {split: {c for c, at in zip(contents, splits, strict=True) if at == split} for split in SPLITS}
    own = [split for split in HELD_OUT if given[split]]
    if own and division.by == "position":
        raise ValueError(f"split_by: position holds out the end of a whole text, and this one has a {own[0]} split")
    num_own = {split: len(given[split]) for split in own}
    num_shared = {s: len(given[s] & set().union(*(given[t] for t in SPLITS if t != s))) for s in own}
    first = {content: i for i, content in reversed(list(enumerate(contents)))}
    free = given["train"] - given["validation"] - given["test"]
    different = [whole[i] for i in sorted(first[content] for content in free)]
    num_copies = len(whole) - len(first)
    fewest = FEWEST_TO_SPLIT - len(own)
    if len(different) >= fewest or len(own) == len(HELD_OUT):
        if division.by == "position":
            cuts = _in_order(different, division)
        else:
            cuts = _by_content(whole, contents, splits, division)
        dropped = len(whole) - sum(map(len, cuts.values()))
        capped = _capped(view, cuts, division)
        return Divided(capped, num_copies, dropped, num_own=num_own, num_shared=num_shared)
    if division.by == "position":
        cuts = _last_bytes(view, different, division)
        return Divided(_capped(view, cuts, division), num_copies, num_copies)
    pieces, size = _stretches(view, different, division)
    kinds = [_content(view[cut.begin : cut.end]) for cut in pieces]
    if len(set(kinds)) < fewest:
        raise ValueError(
            f"held_out: a text of fewer than {fewest} documents is split by stretches of {size} bytes, of "
            f"which this one has {len(set(kinds))} different; splits that share none need {fewest}"
        )
    held = [i for i, split in enumerate(splits) if split != "train"]
    left: list[Split] = ["train"] * len(pieces)
    cuts = _by_content(
        pieces + [whole[i] for i in held],
        kinds + [contents[i] for i in held],
        left + [splits[i] for i in held],
        division,
    )
    cuts["train"] = _joined(cuts["train"])
    return Divided(_capped(view, cuts, division), num_copies, num_copies, len(pieces), size, num_own, num_shared)


def _content(data: memoryview) -> bytes:
    """A hash of what a document says, whatever its case and white space."""
    digest, begin = hashlib.sha256(), 0
    while begin < len(data):
        # What stands before white space that ASCII follows is the same whatever comes after it.
        cut = _APART.search(data, begin + _PIECE)
        end = len(data) if cut is None else cut.start() + 1
        text = bytes(data[begin:end])
        if text.isascii():
            said = text.translate(_LOWER, _SPACE)
        else:
            said = "".join(unicodedata.normalize("NFC", text.decode("utf-8", "replace")).lower().split()).encode()
        digest.update(said)
        begin = end
    return digest.digest()


_PIECE = 2**20  # bytes, about
_APART = re.compile(rb"[ \t\r\n](?=[\x00-\x7f])")

_LOWER = bytes(range(256)).lower()
_SPACE = bytes(c for c in range(128) if chr(c).isspace())


def _by_content(
    cuts: list[Cut], contents: list[bytes], splits: Sequence[Split], division: Division
) -> dict[Split, list[Cut]]:
    """Each content to one split; each held-out split that is not given gets its share of their number, at least one,
    and each held-out split has a content once."""
    own = {content: at for split in HELD_OUT for content, at in zip(contents, splits, strict=True) if at == split}
    free = {content for content in contents if content not in own}
    order = sorted(free, key=lambda content: hashlib.sha256(f"{division.seed}/".encode() + content).digest())
    missing = [split for split in HELD_OUT if split not in splits]
    num_held = _num_held(len(order), division, len(missing)) if missing else 0
    held: dict[bytes, Split] = {**own}
    held |= {content: missing[i // num_held] for i, content in enumerate(order[: len(missing) * num_held])}
    parts: dict[Split, list[Cut]] = {split: [] for split in SPLITS}
    seen: set[bytes] = set()
    for cut, content, at in zip(cuts, contents, splits, strict=True):
        if content not in held:
            parts["train"].append(cut)
        elif content not in seen and own.get(content, at) == at:
            seen.add(content)
            parts[held[content]].append(cut)
    return parts


def _num_held(num: int, division: Division, num_splits: int = 2) -> int:
    """How many of at least ``num_splits + 1`` are in each of the splits that are held out."""
    return min(max(1, round(division.held_out * num)), (num - 1) // num_splits)


def _in_order(cuts: list[Cut], division: Division) -> dict[Split, list[Cut]]:
    held = _num_held(len(cuts), division)
    return {"train": cuts[: -2 * held], "validation": cuts[-2 * held : -held], "test": cuts[-held:]}


def _last_bytes(view: memoryview, cuts: list[Cut], division: Division) -> dict[Split, list[Cut]]:
    parts: dict[Split, list[Cut]] = {split: [] for split in SPLITS}
    for document, begin, end in cuts:
        held = int(division.held_out * (end - begin))
        edges = (begin, *(_character(view, edge) for edge in (end - 2 * held, end - held)), end)
        for split, first, last in zip(SPLITS, edges[:-1], edges[1:], strict=True):
            parts[split].append(Cut(document, first, last))
    return parts


def _stretches(view: memoryview, cuts: list[Cut], division: Division) -> tuple[list[Cut], int]:
    """Documents in stretches of one length, their last ones longer, and that length: so many ``division.stretch``."""
    held = division.held_out * sum(cut.end - cut.begin for cut in cuts)
    size = division.stretch * max(1, round(held / _NUM_STRETCHES / division.stretch))
    pieces = []
    for document, begin, end in cuts:
        # What is left at the end is too short for a stretch of its own.
        edges = [*(_character(view, begin + i * size) for i in range(max(1, (end - begin) // size))), end]
        pieces += [Cut(document, a, b) for a, b in zip(edges[:-1], edges[1:], strict=True) if a < b]
    return pieces, size


def _joined(cuts: list[Cut]) -> list[Cut]:
    """Stretches that follow each other as one."""
    joined: list[Cut] = []
    for cut in cuts:
        if joined and joined[-1].document == cut.document and joined[-1].end == cut.begin:
            joined[-1] = joined[-1]._replace(end=cut.end)
        else:
            joined.append(cut)
    return joined


def _capped(view: memoryview, cuts: dict[Split, list[Cut]], division: Division) -> dict[Split, list[Cut]]:
    """The cuts, those of training within ``max_bytes``."""
    if division.max_bytes is None:
        return cuts
    kept, left = [], division.max_bytes
    for cut in cuts["train"]:
        if left <= 0:
            break
        fits = cut.end - cut.begin <= left
        kept.append(cut if fits else cut._replace(end=_character(view, cut.begin + left)))
        left -= cut.end - cut.begin
    return {**cuts, "train": [cut for cut in kept if cut.begin < cut.end]}


def _character(view: memoryview, cut: int) -> int:
    """The place, moved back to where a character begins."""
    while 0 < cut < len(view) and view[cut] & 0xC0 == 0x80:
        cut -= 1
    return cut
