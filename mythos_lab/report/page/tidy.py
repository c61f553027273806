"""Tables as data: CSV, and Parquet where it can be written."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from mythos_lab.recipe.parquet import as_parquet
from mythos_lab.recipe.screen import one_line
from mythos_lab.recipe.urls import in_text
from mythos_lab.report.table import Table

_FORMULAS = ("=", "+", "-", "@")
_WORD = re.compile(r"[+-][A-Za-z_]\w*", re.ASCII)  # as arms of an ablation are called


def as_csv(table: Table) -> str:
    """The rows under their headings, numbers with all their digits; an interval is two columns.

    A text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    columns = _columns(table)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(_unlike_a_formula, columns))
    writer.writerows(map(_unlike_a_formula, row) for row in zip(*columns.values(), strict=True))
    return out.getvalue()


def parquet_of(table: Table) -> bytes:
    """The same as Parquet, whose columns are of numbers where every cell is one."""
    return as_parquet(_columns(table))


def _columns(table: Table) -> dict[str, list[Any]]:
    """The cells under their headings; of headings that are the same, all but the first are numbered."""
    rows = [dict(_flat(record)) for record in table.records()]
    heads = {column.key: one_line(column.heading) or column.key for column in table.columns}
    found: dict[str, list[Any]] = {}
    seen: Counter[str] = Counter()
    for key in dict.fromkeys(key for row in rows for key in row) or [(key, "") for key in heads]:
        head = one_line(in_text(" ".join(filter(None, (heads[key[0]], key[1])))))
        seen[head] += 1
        found[f"{head} ({seen[head]})" if seen[head] > 1 else head] = [_plain(row.get(key)) for row in rows]
    return found


def _flat(record: dict[str, Any]) -> Iterator[tuple[tuple[str, str], Any]]:
    for key, value in record.items():
        if isinstance(value, list) and len(value) == 2:
            yield (key, "low"), value[0]
            yield (key, "high"), value[1]
        elif isinstance(value, dict) and set(value) == {"mean", "plus_minus"}:
            yield (key, ""), value["mean"]
            yield (key, "plus_minus"), value["plus_minus"]
        else:
            yield (key, ""), value


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, int | float) else one_line(in_text(str(value)))


def _unlike_a_formula(cell: Any) -> Any:
    if not isinstance(cell, str):
        return "" if cell is None else cell
    return f"'{cell}" if cell.startswith(_FORMULAS) and not _WORD.fullmatch(cell) else cell
