"""Tables as plain data: what they hold is JSON's, how a cell reads is the text's, whoever shows it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mythos_lab.recipe.screen import one_line
from mythos_lab.report.markdown import in_cell

NAMES_THE_ROW = 0
"""The importance of a column that says what a row is of: it stands in every part of a table that had to be parted."""


@dataclass(frozen=True)
class Cell:
    """A value that reads otherwise than its column has it.

    Attributes:
        value: What JSON gets.
        text: What people read.
        link: Where it leads in Markdown; a terminal shows the text alone.
    """

    value: Any
    text: str
    link: str = ""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        key: Its name in JSON, and its heading without another one.
        head: Its heading.
        form: How numbers are written: a format specification.
        align: Where cells stand; numbers right, so that their digits do.
        importance: 0 where it names the row. Of the others, those with the higher number go below first where a
            terminal is narrow; 1 is for what the table is there to show.
        folds: Whether a cell may go on in the next line. Digits are never parted.
    """

    key: str
    head: str | None = None
    form: str = ""
    align: Literal["left", "right"] = "left"
    importance: int = 1
    folds: bool = False

    @property
    def heading(self) -> str:
        """What stands above it."""
        return self.key if self.head is None else self.head


def name(key: str, head: str | None = None) -> Column:
    """A column that says what a row is of."""
    return Column(key, head, importance=NAMES_THE_ROW, folds=True)


def number(key: str, head: str | None = None, form: str = ".4g", importance: int = 1) -> Column:
    """A column of numbers, or of short texts made of some, such as intervals."""
    return Column(key, head, form, "right", importance)


def prose(key: str, head: str | None = None, importance: int = 2) -> Column:
    """A column of texts, which fold."""
    return Column(key, head, importance=importance, folds=True)


@dataclass(frozen=True)
class Table:
    """Rows of values under columns.

    Attributes:
        columns: The columns; their keys differ.
        rows: One value, or one :class:`Cell`, for each column.
        title: What stands above it.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    title: str = ""

    def __post_init__(self) -> None:
        keys = [column.key for column in self.columns]
        assert len(set(keys)) == len(keys), f"two columns of one key: {keys}"
        assert all(len(row) == len(keys) for row in self.rows), "a row has as many cells as there are columns"

    def records(self) -> list[dict[str, Any]]:
        """The rows for JSON, which knows neither infinity nor what is no number: both are null."""
        keys = [column.key for column in self.columns]
        return [dict(zip(keys, (plain(_value(cell)) for cell in row), strict=True)) for row in self.rows]

    def texts(self) -> list[list[str]]:
        """The rows as people read them, each cell in one line."""
        return [[_text(column, cell) for column, cell in zip(self.columns, row, strict=True)] for row in self.rows]

    def markdown(self) -> str:
        """The table as Markdown, without its title."""
        rule = ["---:" if column.align == "right" else "---" for column in self.columns]
        heads = [one_line(column.heading) for column in self.columns]
        rows = [list(map(_markdown_cell, row, texts)) for row, texts in zip(self.rows, self.texts(), strict=True)]
        return "\n".join(_markdown_row(cells) for cells in (list(map(in_cell, heads)), rule, *rows))


def plain(value: Any) -> Any:
    """A value as strict JSON has it: numbers that are none become null, whatever else it does not know a text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    if isinstance(value, Path):
        return str(value)
    return plain(value.item()) if hasattr(value, "item") else str(value)


def interval(low: float, high: float, form: str = ".4g", open_end: str = "open") -> Cell:
    """Both ends of an interval, of which one that is not finite is open."""
    low_text, high_text = (format(end, form) if math.isfinite(end) else open_end for end in (low, high))
    return Cell([low, high], f"{low_text} to {high_text}")


def nothing() -> Cell:
    """A cell of which there is nothing to say."""
    return Cell(None, "")


def _value(cell: Any) -> Any:
    return cell.value if isinstance(cell, Cell) else cell


def _text(column: Column, cell: Any) -> str:
    if isinstance(cell, Cell):
        return one_line(cell.text)
    if cell is None:
        return ""
    if isinstance(cell, float) or (isinstance(cell, int) and not isinstance(cell, bool)):
        return format(cell, column.form)
    return one_line(str(cell))


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_cell(cell: Any, text: str) -> str:
    return f"[{in_cell(text)}]({cell.link})" if isinstance(cell, Cell) and cell.link else in_cell(text)
