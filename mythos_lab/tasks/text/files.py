"""Documents from a file or a folder: a text file is one document, a row of a table or of JSON another."""

from __future__ import annotations

import codecs
import difflib
import hashlib
import io
import json
import os
import sysconfig
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal

from mythos_lab.tasks.text.formats import BROKEN, ROWS, Format, bounded, most_bytes, named, opened
from mythos_lab.tasks.text.rows import READERS, Broken, looks_like_rows
from mythos_lab.tasks.text.skips import VOID, Item

NOT_LIBRARY = frozenset({"test", "tests", "idlelib", "site-packages", "dist-packages", "lib2to3", "__pycache__"})
"""Folders beside the standard library's source that are left out of it: tests, applications, what others wrote."""

_PART = 2**20  # bytes
_NO_FIELD = "text"  # the field that need not be named


class Files:
    """A file, or the files of a folder that end in ``suffixes``, in the order of their paths.

    Links to folders are not followed. See :class:`mythos_lab.tasks.text.corpus.Source`.

    Args:
        path: File or folder; ``None`` is the standard library's source.
        suffixes: What counts as text in a folder, in whatever case, and compressed or not.
        text_field: The field of JSON rows, or the column of a table, that holds the text.
        format: What the files hold; ``auto`` goes by their endings.
        field: The recipe's field that names the path.

    Raises:
        ValueError: There is nothing at the path; from ``documents``, a file is not what it is said to be, or no row
            of it has the field.
    """

    def __init__(
        self,
        path: str | None,
        suffixes: tuple[str, ...],
        text_field: str,
        format: Format | Literal["auto"] = "auto",
        field: str = "path",
    ) -> None:
        self.root = Path(sysconfig.get_paths()["stdlib"]) if path is None else locate(path, field)
        self.field = field
        self.place = str(self.root)
        # Folders that are no source of the library may be a user's own text.
        self.leave_out = NOT_LIBRARY if path is None else frozenset[str]()
        self.suffixes = tuple(suffix.lower() for suffix in suffixes)
        self.text_field, self.format = text_field, format
        self.num_files: int | None = 0

    def key(self) -> str:
        digest = hashlib.sha256(json.dumps(["files", self.text_field, self.format]).encode())
        for name, path in self._candidates[0]:
            try:
                with path.open("rb") as file:
                    content = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                content = f"unreadable: {error.strerror}"
            digest.update(json.dumps([name, content]).encode())
        return digest.hexdigest()

    def documents(self) -> Iterator[Item]:
        self.num_files = 0
        formats = {self._format(name) for name, _ in self._candidates[0]}
        if self.text_field != _NO_FIELD and formats <= {"text"}:
            raise ValueError(
                f"text_field: {self.text_field!r} is a field of rows, and {self.place!r} has no file of rows "
                f"(by the endings {', '.join(ROWS)}, or task.format)"
            )
        for name, path in self._candidates[0]:
            used = False
            for item in self._read(name, path):
                used |= not item.reason
                yield item
            self.num_files += used

    def num_bytes(self) -> int:
        """Bytes of the files, as they lie on the disk."""
        return sum(path.stat().st_size for _, path in self._candidates[0] if path.is_file())

    def hint(self) -> str:
        others = self._candidates[1].most_common(1)
        most = f"; most end in {others[0][0]}, which suffixes could name" if others else ""
        return f"none ends in {', '.join(self.suffixes)}{most}"

    def unread(self) -> str:
        """``40 files end in .jsonl, which suffixes do not name`` where a folder has rows that are not read."""
        rows = [f"{num} end in {suffix}" for suffix, num in self._candidates[1].most_common() if suffix in ROWS]
        return f"files of rows are not read ({', '.join(rows)}, which suffixes do not name)" if rows else ""

    @cached_property
    def _candidates(self) -> tuple[list[tuple[str, Path]], Counter[str]]:
        """Files by their path within the corpus, in its order, and how many have which other suffix."""
        if not self.root.is_dir():
            return [(self.root.name, self.root)], Counter()
        found: list[tuple[str, Path]] = []
        others = Counter[str]()
        for folder, subfolders, names in os.walk(self.root, onerror=_refuse):
            # Folders left out are not entered: site-packages alone may hold a hundred times the library's files.
            subfolders[:] = [name for name in subfolders if name not in self.leave_out]
            for name in names:
                says = named(name)
                if name.lower().removesuffix(says.packing).endswith(self.suffixes) or name.lower().endswith(
                    self.suffixes
                ):
                    path = Path(folder, name)
                    found.append((path.relative_to(self.root).as_posix(), path))
                elif says.ending:
                    others[says.ending] += 1
        return sorted(found), others

    def _format(self, name: str) -> Format:
        return named(name).format if self.format == "auto" else self.format

    def _read(self, name: str, path: Path) -> Iterator[Item]:
        """The items of a file."""
        if not path.is_file():
            yield Item(name, b"", "not a file")
            return
        format, packing, place = self._format(name), named(name).packing, name
        try:
            with opened(path, packing) as file:
                stream: io.BufferedReader = bounded(file, path) if packing else file  # type: ignore[assignment]
                if format == "text":
                    yield self._text(name, stream.read())
                    return
                if format == "parquet" and packing:
                    stream = io.BytesIO(stream.read())  # type: ignore[assignment]
                num_bytes, most = 0, most_bytes(path)
                for item in READERS[format](stream, name, self.text_field):
                    place = item.place
                    num_bytes += len(item.data)
                    if num_bytes > most:
                        raise Broken(f"its rows come to more than {most:,} bytes, of a file of {path.stat().st_size:,}")
                    yield item
        except Broken as error:
            raise ValueError(f"{self.field}: {str(path)!r} cannot be read as {format}: {error}") from None
        except BROKEN as error:
            if format == "text" and not packing:
                yield Item(name, b"", "unreadable", getattr(error, "strerror", None) or str(error))
                return
            said = getattr(error, "strerror", None) or str(error)
            after = f" after {place}" if place != name else ""
            raise ValueError(
                f"{self.field}: {str(path)!r} cannot be read as {packing}{format}{after}: {said}"
            ) from None

    def _text(self, name: str, data: bytes) -> Item:
        if not data:
            return Item(name, b"", VOID)
        if (wrong := _not_utf8(data)) is not None:
            return Item(name, b"", "not UTF-8", f"at byte {wrong}")
        if (zero := data.find(b"\0")) >= 0:
            return Item(name, b"", "binary", f"a zero at byte {zero}")
        if self.format == "auto" and looks_like_rows(data):
            raise ValueError(
                f"format: {name!r} holds rows of JSON; name it .jsonl or .json, or say which: text, jsonl, json"
            )
        return Item(name, data)


def _not_utf8(data: bytes) -> int | None:
    """Where bytes end to be UTF-8; they are not decoded at once, which takes four times their memory."""
    begin = 0
    while begin < len(data):
        part = memoryview(data)[begin : begin + _PART]
        try:
            _, num_read = codecs.utf_8_decode(part, "strict", begin + len(part) == len(data))
        except UnicodeDecodeError as error:
            return begin + error.start
        begin += num_read
    return None


def locate(path: str, field: str = "path") -> Path:
    """The file or folder at a path; ``ValueError`` with the nearest sibling where there is none."""
    place = Path(path).expanduser()
    if place.exists():
        return place
    if not place.parent.is_dir():
        raise ValueError(f"{field}: no such file or folder {path!r}; its folder does not exist either")
    near = difflib.get_close_matches(place.name, sorted(p.name for p in place.parent.iterdir()), n=1, cutoff=0.5)
    hint = f"did you mean {str(place.with_name(near[0]))!r}?" if near else "nothing beside it has a name like it"
    raise ValueError(f"{field}: no such file or folder {path!r}; {hint}")


def _refuse(error: OSError) -> None:
    raise ValueError(f"path: cannot list {error.filename!r}: {error.strerror}") from error
