"""Documents from a file or a folder: a text file is one document, a row of JSON Lines or Parquet another."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import sysconfig
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from mythos_blocks.declaring.registry import suggest
from mythos_lab.tasks.text.corpus import text_or_reason

NOT_LIBRARY = frozenset({"test", "tests", "idlelib", "site-packages", "dist-packages", "lib2to3", "__pycache__"})
"""Folders beside the standard library's source that are left out of it: tests, applications, what others wrote."""

_JSON_LINES, _PARQUET = (".jsonl", ".ndjson"), (".parquet",)


class Files:
    """A file, or the files of a folder that end in ``suffixes``, in the order of their paths.

    Links to folders are not followed. See :class:`mythos_lab.tasks.text.corpus.Source`.

    Args:
        path: File or folder; ``None`` is the standard library's source.
        suffixes: What counts as text in a folder.
        text_field: The field of a JSON line, or the column of a Parquet file, that holds the text.

    Raises:
        ValueError: There is nothing at the path; from ``documents``, no row of a file has the field.
    """

    field = "path"

    def __init__(self, path: str | None, suffixes: tuple[str, ...], text_field: str) -> None:
        self.root = Path(sysconfig.get_paths()["stdlib"]) if path is None else locate(path)
        self.place = str(self.root)
        # Folders that are no source of the library may be a user's own text.
        self.leave_out = NOT_LIBRARY if path is None else frozenset[str]()
        self.suffixes, self.text_field = suffixes, text_field
        self.skipped: dict[str, str] = {}
        self.num_files: int | None = 0

    def key(self) -> str:
        digest = hashlib.sha256(json.dumps(["files", self.text_field]).encode())
        for name, path in self._candidates[0]:
            try:
                with path.open("rb") as file:
                    content = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                content = f"unreadable: {error.strerror}"
            digest.update(json.dumps([name, content]).encode())
        return digest.hexdigest()

    def documents(self) -> Iterator[tuple[str, bytes]]:
        self.skipped.clear()
        self.num_files = 0
        for name, path in self._candidates[0]:
            used = False
            for document, data, reason in self._read(name, path):
                if reason:
                    self.skipped[document] = reason
                else:
                    used = True
                    yield document, data
            self.num_files += used

    def hint(self) -> str:
        others = self._candidates[1].most_common(1)
        most = f"; most end in {others[0][0]}, which suffixes could name" if others else ""
        return f"none ends in {', '.join(self.suffixes)}{most}"

    @cached_property
    def _candidates(self) -> tuple[list[tuple[str, Path]], Counter[str]]:
        """Files by their path within the corpus, in its order, and how many have which other suffix."""
        if not self.root.is_dir():
            return [(self.root.name, self.root)], Counter()
        found, others = [], Counter[str]()
        for folder, subfolders, names in os.walk(self.root, onerror=_refuse):
            # Folders left out are not entered: site-packages alone may hold a hundred times the library's files.
            subfolders[:] = [name for name in subfolders if name not in self.leave_out]
            paths = [Path(folder, name) for name in names if name.endswith(self.suffixes)]
            found += [(path.relative_to(self.root).as_posix(), path) for path in paths]
            others.update(s for name in names if not name.endswith(self.suffixes) and (s := Path(name).suffix))
        return sorted(found), others

    def _read(self, name: str, path: Path) -> Iterator[tuple[str, bytes, str]]:
        """Documents of a file: name, bytes, and why they cannot be used, if so."""
        if not path.is_file():
            yield name, b"", "not a file"
        elif path.suffix in _JSON_LINES:
            yield from self._json_lines(name, path)
        elif path.suffix in _PARQUET:
            yield from self._parquet(name, path)
        else:
            yield name, *_text(path)

    def _json_lines(self, name: str, path: Path) -> Iterator[tuple[str, bytes, str]]:
        known: set[str] = set()
        has_field = num_lines = 0
        try:
            with path.open("rb") as file:
                for num_lines, line in enumerate(file, 1):
                    row, reason = _json_row(line)
                    if reason:
                        yield f"{name}:{num_lines}", b"", reason
                    elif self.text_field not in row:
                        known.update(row)
                        yield f"{name}:{num_lines}", b"", f"no field {self.text_field!r}"
                    else:
                        has_field += 1
                        yield f"{name}:{num_lines}", *text_or_reason(row[self.text_field])
        except OSError as error:
            yield name, b"", f"unreadable: {error.strerror}"
            return
        if known and not has_field:
            raise ValueError(
                f"text_field: no line of {str(path)!r} has a field {self.text_field!r}; "
                f"{suggest(self.text_field, known)}"
            )
        if not num_lines:
            yield name, b"", "empty"

    def _parquet(self, name: str, path: Path) -> Iterator[tuple[str, bytes, str]]:
        parquet, broken = _pyarrow()
        row = 0
        try:
            with parquet.ParquetFile(path) as file:
                check_column(self.text_field, file.schema_arrow, str(path))
                # A batch that reaches over groups of rows would lose the whole ones with a broken one.
                for group in range(file.num_row_groups):
                    for batch in file.iter_batches(row_groups=[group], columns=[self.text_field]):
                        for value in batch.column(0).to_pylist():
                            row += 1
                            yield f"{name}:{row}", *text_or_reason(value)
        except broken as error:
            reason = str(error).splitlines()[0]
            yield name, b"", f"corrupt Parquet after row {row}: {reason}" if row else f"corrupt Parquet: {reason}"
            return
        if not row:
            yield name, b"", "empty"


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


def check_column(text_field: str, schema: Any, place: str) -> None:
    """``ValueError`` where an Arrow schema has no column of that name, or one that is not text."""
    import pyarrow

    if text_field not in schema.names:
        raise ValueError(f"text_field: no column {text_field!r} in {place!r}; {suggest(text_field, schema.names)}")
    kind = schema.field(text_field).type
    held = kind.value_type if pyarrow.types.is_dictionary(kind) else kind
    # A column of nulls alone has no other type; its rows are named one by one.
    types = pyarrow.types
    is_text = (types.is_string, types.is_large_string, types.is_string_view, types.is_null)
    if not any(is_kind(held) for is_kind in is_text):
        raise ValueError(f"text_field: column {text_field!r} of {place!r} holds {kind}, not text")


def _pyarrow() -> tuple[Any, tuple[type[Exception], ...]]:
    """The Parquet reader, and what it raises on a broken file; imported only where there is one."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ValueError("path: Parquet files need pyarrow; install mythos-lab[text]") from error
    return pyarrow.parquet, (pyarrow.ArrowException, OSError)


def _refuse(error: OSError) -> None:
    raise ValueError(f"path: cannot list {error.filename!r}: {error.strerror}") from error


def _json_row(line: bytes) -> tuple[dict[str, Any], str]:
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return {}, f"not UTF-8 at byte {error.start}"
    except (ValueError, RecursionError) as error:
        return {}, "blank" if not line.strip() else f"not JSON: {error}"
    return (row, "") if isinstance(row, dict) else ({}, f"not an object but {type(row).__name__}")


def _text(path: Path) -> tuple[bytes, str]:
    """A file's bytes, and why they cannot be used, if so."""
    try:
        data = path.read_bytes()
        data.decode("utf-8")
    except OSError as error:
        return b"", f"unreadable: {error.strerror}"
    except UnicodeDecodeError as error:
        return b"", f"not UTF-8 at byte {error.start}"
    return data, "" if data else "empty"
