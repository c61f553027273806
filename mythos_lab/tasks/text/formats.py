"""What a file is by its name, and its bytes without their compression."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from pathlib import PurePath
from typing import Any, BinaryIO, Literal, NamedTuple

Format = Literal["text", "jsonl", "json", "csv", "tsv", "parquet"]

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
