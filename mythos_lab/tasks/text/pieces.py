"""A long text in pieces which a tokenizer reads as it reads the whole, so that memory does not follow the text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

_PIECE = 2**17  # bytes, about
_AROUND = 2**10  # bytes on either side of a place that the tokenizer is asked about
_NUM_PLACES = 64  # that it is asked about, before a piece is made longer
_PLACE = re.compile(rb"(?<=[^\s])[ \t\r\n]")


def pieces(data: bytes | memoryview, read: Callable[[str], Sequence[Any]]) -> Iterator[bytes]:
    """The text in order, in pieces of about 128 KiB.

    It is cut where white space follows something else, and only where the tokenizer reads on there as if the text
    began: what stands around the place has to come to the same tokens whole and in two. A tokenizer that treats the
    beginning of every text apart gets the text whole.

    Args:
        data: UTF-8.
        read: Gives the tokens of a text, or what they are made of.
    """
    begin = 0
    while len(data) - begin > 2 * _PIECE and (cut := _place(data, begin + _PIECE, read)) is not None:
        yield bytes(data[begin:cut])
        begin = cut
    yield bytes(data[begin:])


def _place(data: bytes | memoryview, begin: int, read: Callable[[str], Sequence[Any]]) -> int | None:
    """The first place from there on where the text may be cut; ``None`` where there is none."""
    num_asked = 0
    for found in _PLACE.finditer(data, begin):
        cut = found.start()
        before, after = _text(data, cut - _AROUND, cut), _text(data, cut, cut + _AROUND)
        if [*read(before), *read(after)] == list(read(before + after)):
            return cut
        num_asked += 1
        if num_asked == _NUM_PLACES:
            break
    return None


def _text(data: bytes | memoryview, begin: int, end: int) -> str:
    """What stands there, without the halves of characters at its ends."""
    return bytes(data[max(0, begin) : end]).decode("utf-8", "ignore")
