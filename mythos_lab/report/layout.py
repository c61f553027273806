"""Where the cells of a table stand on a terminal, and where its texts break.

Nothing is cut. Texts fold; columns that do not fit beside the others go below, the least important first, under the
names of their rows; where not even two columns fit, every row becomes a list. No line breaks within a number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from mythos_lab.recipe.screen import one_line
from mythos_lab.report.table import NAMES_THE_ROW, Column, Table

_GAP = 2
_LEAST_NAME, _LEAST_TEXT = 12, 24  # columns that they keep where they have as many: below, folding is unreadable
_EMPTY = "-"  # so that what is piped has as many fields in every row

# After a space, and after what joins words; within 1.5, 1,000 and 1e-3, which digits stand around, there is no break.
_BREAK = re.compile(r"(?<=[\s/_=:;)\]])|(?<=[^\d\s][,.+-])(?=[^\d\s])|(?<=\d[,-])(?=[^\d\s])")

_NUMBER = re.compile(r"(?<![^\W_])[-+]?\d[\d.,]*(?:e[-+]?\d+)?(?![^\W_])")


@dataclass(frozen=True)
class Line:
    """One line, and whether it is a heading."""

    text: str
    is_head: bool = False


def laid_out(table: Table, width: int | None) -> list[Line]:
    """The lines of a table.

    Args:
        table: The table.
        width: Columns of the terminal; ``None`` is a pipe: every row one line, every cell in it.
    """
    title = [] if not table.title else folded(table.title, width) if width else [one_line(table.title)]
    lines = [Line(text, True) for text in title]
    if not table.columns:
        return lines
    texts = table.texts()
    if width is None:
        filled = [[cell or _EMPTY for cell in row] for row in texts]
        widths = [_natural(column, [row[i] for row in filled]) for i, column in enumerate(table.columns)]
        return [*lines, *_block(table.columns, range(len(table.columns)), filled, widths)]
    least = [_least(column, [row[i] for row in texts]) for i, column in enumerate(table.columns)]
    parts = _parts(table.columns, least, width)
    if parts is None:
        return [*lines, *_as_lists(table.columns, texts, width)]
    for i, part in enumerate(parts):
        if i:
            lines.append(Line(""))
        widths = _widths(table.columns, part, texts, least, width)
        lines += _block(table.columns, part, texts, widths)
        if below := [one_line(table.columns[c].heading) for other in parts[i + 1 : i + 2] for c in other]:
            new = [head for c, head in zip(parts[i + 1], below, strict=True) if table.columns[c].importance]
            lines += [Line(text) for text in folded(f"(further columns below: {', '.join(new)})", width)]
    return lines


def folded(text: str, width: int) -> list[str]:
    """A text in lines of at most so many columns, except where a number or a name is longer."""
    lines, line = [], ""
    for piece in _pieces(one_line(text), width):
        if line and cell_len((line + piece).rstrip()) > width:
            lines.append(line.rstrip())
            line = piece.lstrip()
        else:
            line += piece
    return [*lines, line.rstrip()]


def _pieces(text: str, width: int) -> list[str]:
    pieces: list[str] = []
    for piece in _BREAK.split(text):
        # A hash, or a word that is no number, may be longer than the terminal is wide.
        while cell_len(piece.rstrip()) > width and not _NUMBER.search(piece):
            pieces.append(piece[:width])
            piece = piece[width:]
        pieces.append(piece)
    return [piece for piece in pieces if piece]


def _natural(column: Column, cells: Sequence[str]) -> int:
    return max(cell_len(text) for text in (one_line(column.heading), *cells))


def _least(column: Column, cells: Sequence[str]) -> int:
    """The columns without which it would have to cut."""
    texts = [one_line(column.heading), *cells]
    if not column.folds:
        head = max((cell_len(piece.strip()) for piece in _BREAK.split(texts[0])), default=0)
        return max(head, *map(cell_len, cells), 1)
    wish = _LEAST_NAME if column.importance == NAMES_THE_ROW else _LEAST_TEXT
    pieces = [piece.strip() for text in texts for piece in _BREAK.split(text)]
    longest = max(cell_len(piece) if _NUMBER.search(piece) else min(cell_len(piece), _LEAST_TEXT) for piece in pieces)
    return max(longest, min(wish, _natural(column, cells)), 1)


def _parts(columns: Sequence[Column], least: Sequence[int], width: int) -> list[list[int]] | None:
    """Which columns stand beside each other; ``None`` where not one does beside the names of the rows."""
    names = [i for i, column in enumerate(columns) if column.importance == NAMES_THE_ROW]
    rest = sorted((i for i in range(len(columns)) if i not in names), key=lambda i: columns[i].importance)
    parts: list[list[int]] = [list(names)]
    for i in rest:
        if _total([*parts[-1], i], least) > width and len(parts[-1]) > len(names):
            parts.append(list(names))
        parts[-1].append(i)
        if _total(parts[-1], least) > width:
            return None
    return [sorted(part) for part in parts] if _total(names, least) <= width else None


def _total(part: Sequence[int], widths: Sequence[int]) -> int:
    return sum(widths[i] for i in part) + _GAP * (len(part) - 1)


def _widths(
    columns: Sequence[Column], part: Sequence[int], texts: Sequence[Sequence[str]], least: Sequence[int], width: int
) -> list[int]:
    """What each column of a part gets: what it needs, then, in their order, what it would fill."""
    natural = [_natural(columns[i], [row[i] for row in texts]) for i in part]
    spare = width - _total(part, least)
    given = []
    for i, wish in zip(part, natural, strict=True):
        more = min(spare, max(0, wish - least[i]))
        given.append(least[i] + more)
        spare -= more
    return given


def _block(
    columns: Sequence[Column], part: Sequence[int], texts: Sequence[Sequence[str]], widths: Sequence[int]
) -> list[Line]:
    heads = [one_line(columns[i].heading) for i in part]
    lines = [Line(text, True) for text in _row(columns, part, heads, widths)] if any(heads) else []
    for row in texts:
        lines += [Line(text) for text in _row(columns, part, [row[i] for i in part], widths)]
    return lines


def _row(columns: Sequence[Column], part: Sequence[int], cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    folds = [folded(cell, width) for cell, width in zip(cells, widths, strict=True)]
    lines = []
    for k in range(max(map(len, folds))):
        shown = []
        for i, fold, width in zip(part, folds, widths, strict=True):
            text = fold[k] if k < len(fold) else ""
            space = " " * max(0, width - cell_len(text))
            shown.append(space + text if columns[i].align == "right" else text + space)
        lines.append((" " * _GAP).join(shown).rstrip())
    return lines


def _as_lists(columns: Sequence[Column], texts: Sequence[Sequence[str]], width: int) -> list[Line]:
    lines: list[Line] = []
    for row in texts:
        for column, cell in zip(columns, row, strict=True):
            head, is_name = one_line(column.heading), column.importance == NAMES_THE_ROW
            for text in folded(f"{head}: {cell}" if head else cell, width) if cell else ():
                lines.append(Line(text, is_name))
        lines.append(Line(""))
    return lines[:-1]
