"""Files of rows: each row's text, or why there is none."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

from mythos_blocks.declaring.registry import suggest
from mythos_lab.tasks.text.formats import Format
from mythos_lab.tasks.text.skips import BLANK, VOID, Item, text_or_reason

Reader = Callable[[Any, str, str], Iterator[Item]]
"""``reader(stream, place, text_field)``: the items of a buffered stream of bytes; ``Broken`` where no row is to be
trusted from some place on, ``ValueError`` where no row has the field."""


class Broken(Exception):
    """The file is not of its format; the message says where it stops being so."""


def _json_lines(stream: Iterable[bytes], place: str, text_field: str) -> Iterator[Item]:
    def rows() -> Iterator[tuple[str, Any]]:
        for number, line in enumerate(stream, 1):
            here = f"{place} line {number}"
            yield here, _json(line.removeprefix(_BOM) if number == 1 else line, here)

    return _fields(rows(), place, text_field)


def _json_file(stream: io.BufferedReader, place: str, text_field: str) -> Iterator[Item]:
    """An array of objects, one object, or JSON Lines, as the content says."""
    skipped: list[bytes] = []
    for line in stream:
        skipped.append(line)
        if line.removeprefix(_BOM).strip():
            break
    else:
        yield Item(place, b"", VOID)
        return
    opening = skipped[-1].removeprefix(_BOM).lstrip()
    whole_row = opening[:1] == b"{" and isinstance(_json(opening, place), dict)
    if whole_row:
        yield from _json_lines(chain(skipped, stream), place, text_field)
        return
    try:
        value = json.loads((b"".join(skipped) + stream.read()).removeprefix(_BOM))
    except (ValueError, RecursionError) as error:
        raise Broken(
            f"{' '.join(str(error).split())}; rows are an array of objects, or an object in each line"
        ) from None
    if not isinstance(value, list | dict):
        raise Broken(f"holds {type(value).__name__}; rows are an array of objects, or an object in each line")
    objects = value if isinstance(value, list) else [value]
    yield from _fields(
        ((f"{place} row {i}", _object(f"{place} row {i}", v)) for i, v in enumerate(objects, 1)), place, text_field
    )


def _separated(delimiter: str) -> Reader:
    def read(stream: io.BufferedReader, place: str, text_field: str) -> Iterator[Item]:
        # A document may be longer than the 131,072 characters that the module expects of a field.
        csv.field_size_limit(sys.maxsize)
        lines = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            names = next(reader, [])
            if not names:
                yield Item(place, b"", VOID)
                return
            if names.count(text_field) > 1:
                raise Broken(f"its header has {text_field!r} {names.count(text_field)} times")
            if text_field not in names:
                raise _no_field(text_field, place, names)
            column = names.index(text_field)
            for cells in reader:
                yield _cell(f"{place} line {reader.line_num}", cells, len(names), column)
        except csv.Error as error:
            raise Broken(f"line {reader.line_num}: {error}") from None

    return read


def _cell(here: str, cells: list[str], num_columns: int, column: int) -> Item:
    if not cells:
        return Item(here, b"", BLANK)
    if len(cells) != num_columns:
        return Item(here, b"", "not as many cells as the header", f"{len(cells)}, not {num_columns}")
    undecoded = next((i for i, c in enumerate(cells[column]) if "\udc80" <= c <= "\udcff"), None)
    if undecoded is not None:
        return Item(here, b"", "not UTF-8", f"at character {undecoded}")
    return text_or_reason(here, cells[column])


def _parquet(stream: io.BufferedReader, place: str, text_field: str) -> Iterator[Item]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ValueError("path: Parquet files need pyarrow; install mythos-lab[text]") from error
    row = 0
    try:
        with pyarrow.parquet.ParquetFile(stream) as file:
            check_column(text_field, file.schema_arrow, place)
            # A batch that reaches over groups of rows would lose the whole ones with a broken one.
            for group in range(file.num_row_groups):
                for batch in file.iter_batches(_NUM_ROWS, row_groups=[group], columns=[text_field]):
                    for value in batch.column(0).to_pylist():
                        row += 1
                        yield text_or_reason(f"{place} row {row}", value)
    except (pyarrow.ArrowException, OSError) as error:
        raise Broken(f"{'after row ' + str(row) + ': ' if row else ''}{str(error).splitlines()[0]}") from None
    if not row:
        yield Item(place, b"", VOID)


READERS: dict[Format, Reader] = {
    "jsonl": _json_lines,
    "json": _json_file,
    "csv": _separated(","),
    "tsv": _separated("\t"),
    "parquet": _parquet,
}


def check_column(text_field: str, schema: Any, place: str) -> None:
    """``ValueError`` where an Arrow schema has no column of that name, or one that is not text."""
    import pyarrow

    if text_field not in schema.names:
        raise _no_field(text_field, place, schema.names)
    kind = schema.field(text_field).type
    held = kind.value_type if pyarrow.types.is_dictionary(kind) else kind
    # A column of nulls alone has no other type; its rows are counted one by one.
    types = pyarrow.types
    is_text = (types.is_string, types.is_large_string, types.is_string_view, types.is_null)
    if not any(is_kind(held) for is_kind in is_text):
        raise ValueError(f"text_field: column {text_field!r} of {place!r} holds {kind}, not text")


def looks_like_rows(data: bytes) -> bool:
    """Whether text reads as JSON Lines, or as an array of objects."""
    begin = data[:1024].removeprefix(_BOM).lstrip()
    if begin[:1] == b"{":
        lines = [line for line in data.removeprefix(_BOM).split(b"\n", 8)[:8] if line.strip()][:2]
        return all(isinstance(_json(line, ""), dict) for line in lines)
    return begin[:1] == b"[" and begin[1:].lstrip()[:1] == b"{"


def _fields(rows: Iterator[tuple[str, Any]], place: str, text_field: str) -> Iterator[Item]:
    """The field of each row, of which there is an item already where it is no object."""
    known: set[str] = set()
    num_having, is_void = 0, True
    for here, row in rows:
        is_void = False
        if isinstance(row, Item):
            yield row
        elif text_field in row:
            num_having += 1
            yield text_or_reason(here, row[text_field])
        else:
            known.update(row)
            yield Item(here, b"", f"no field {text_field!r}")
    if known and not num_having:
        raise _no_field(text_field, place, known)
    if is_void:
        yield Item(place, b"", VOID)


def _no_field(text_field: str, place: str, known: Iterable[str]) -> ValueError:
    return ValueError(f"text_field: no row of {place!r} has a field {text_field!r}; {suggest(text_field, known)}")


def _json(line: bytes, here: str) -> Any:
    """A line's object, or the item that says why it is none."""
    try:
        return _object(here, json.loads(line.decode("utf-8")))
    except UnicodeDecodeError as error:
        return Item(here, b"", "not UTF-8", f"at byte {error.start}")
    except (ValueError, RecursionError) as error:
        return Item(here, b"", "not JSON", str(error)) if line.strip() else Item(here, b"", BLANK)


def _object(here: str, value: Any) -> Any:
    return value if isinstance(value, dict) else Item(here, b"", f"{type(value).__name__}, not an object")


_NUM_ROWS = 256  # of a table at once: a dictionary may repeat a long text in all of them
_BOM = b"\xef\xbb\xbf"
