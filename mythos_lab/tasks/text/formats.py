"""What a file is by its name, and its bytes without their compression."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any, BinaryIO, Literal, NamedTuple

Format = Literal["text", "jsonl", "json", "csv", "tsv", "parquet"]

_MOST_PACKED, _LEAST_UNPACKED = 200, 2**26  # text is packed to a tenth, and repetitive text to a hundredth

ROWS: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
"""Endings of files that hold rows; all others hold text."""

BROKEN = (EOFError, OSError, zlib.error, lzma.LZMAError)
"""What reading a compressed file raises that is cut or damaged."""


class Named(NamedTuple):
    """What the name of a file says, in whatever case.

    Attributes:
        ending: Its ending without that of the compression (``.jsonl`` of ``Rows.JSONL.gz``).
        format: What it holds.
        packing: The ending of its compression; empty without one.
    """

    ending: str
    format: Format
    packing: str


def named(name: str) -> Named:
    """What the name of a file says."""
    path = PurePath(name.lower())
    packing = path.suffix if path.suffix in _OPENERS else ""
    ending = path.with_suffix("").suffix if packing else path.suffix
    return Named(ending, ROWS.get(ending, "text"), packing)


def opened(path: Any, packing: str) -> BinaryIO:
    """A file's bytes, without their compression.

    Raises:
        ValueError: The compression needs a package that is not there.
        OSError: The file cannot be opened.
    """
    return _OPENERS[packing](path)


def most_bytes(path: Path) -> int:
    """Bytes that a file may come to once it is unpacked; beyond that it was made to fill a memory."""
    return max(_LEAST_UNPACKED, _MOST_PACKED * path.stat().st_size)


def bounded(file: BinaryIO, path: Path) -> io.BufferedReader:
    """What a compressed file holds, up to :func:`most_bytes`; more is an ``OSError``."""
    return io.BufferedReader(_Bounded(file, most_bytes(path)))


class _Bounded(io.RawIOBase):
    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file, self._left, self._most = file, most, most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._file.read(len(buffer))
        self._left -= len(piece)
        if self._left < 0:
            raise OSError(f"it unpacks to more than {self._most:,} bytes")
        buffer[: len(piece)] = piece
        return len(piece)


def _plain(path: Any) -> BinaryIO:
    return open(path, "rb")  # noqa: SIM115


def _zstandard(path: Any) -> BinaryIO:
    try:
        import pyarrow
    except ImportError as error:
        raise ValueError("path: files that end in .zst need pyarrow; install mythos-lab[text]") from error
    return pyarrow.input_stream(str(path), compression="zstd")


_OPENERS: dict[str, Callable[[Any], Any]] = {
    "": _plain,
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": _zstandard,
}
