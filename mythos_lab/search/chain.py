"""Lines of a journal that hold on to each other: each ends with a checksum of itself and of all lines before it.

A line that was changed, moved or taken out is found where the journal is opened. Lines from before there were checksums
are taken as they are, and held by those that follow. That whole lines are missing at the end cannot be seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from mythos_lab.recipe.errors import Misplaced

_MARK, _END = b',"chain":"', b'"}'
_START = b""


def chained(lines: Iterable[bytes], path: Path) -> bytes:
    """JSON objects, one a line, each with its checksum; to be appended to a journal of whole lines."""
    last, done = _last(path), list[bytes]()
    for line in lines:
        last = _next(last, line)
        done.append(line.removesuffix(b"}") + _MARK + last + _END + b"\n")
    return b"".join(done)


def check_chain(path: Path) -> None:
    """Hold each line of a journal to those before it; a last line that is not whole is left aside.

    Raises:
        Misplaced: One does not follow.
    """
    last, begun = _START, False
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            if not raw.endswith(b"\n"):
                return
            line, said = _parted(raw)
            last = _next(last, line)
            if said is None and not begun:
                continue
            begun = True
            if said != last:
                raise Misplaced(
                    f"{path}: line {number} does not follow from those before it: one is missing, or was changed; "
                    "bring the journal back from a copy, or begin another study"
                )


def _last(path: Path) -> bytes:
    """The checksum of the last line, counted where the journal has none yet."""
    last, said = _START, None
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 4096))
        tail = file.read().splitlines()
        if tail and (said := _parted(tail[-1])[1]) is not None:
            return said
        file.seek(0)
        for raw in file:
            line, said = _parted(raw)
            last = _next(last, line)
    return last


def _next(last: bytes, line: bytes) -> bytes:
    return hashlib.sha256(last + b"\0" + line).hexdigest()[:16].encode()


def _parted(raw: bytes) -> tuple[bytes, bytes | None]:
    """A line as it was before its checksum, and the checksum."""
    whole = raw.rstrip(b"\n")
    before, mark, said = whole.rpartition(_MARK)
    if not mark or not said.endswith(_END) or len(said) != 16 + len(_END):
        return whole, None
    return before + b"}", said.removesuffix(_END)
