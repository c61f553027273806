"""Tables as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Any

from mythos_lab.recipe.screen import one_line
from mythos_lab.recipe.urls import in_text
from mythos_lab.report.table import Table

_FORMULAS = ("=", "+", "-", "@")
_WORD = re.compile(r"[+-][A-Za-z_]\w*", re.ASCII)  # as arms of an ablation are called


def as_csv(table: Table) -> str:
    """The rows under their headings, numbers with all their digits; an interval is two columns.

    A text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    rows = [dict(_flat(record)) for record in table.records()]
    heads = {column.key: one_line(column.heading) or column.key for column in table.columns}
    keys = list(dict.fromkeys(key for row in rows for key in row)) or [(key, "") for key in heads]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_text(" ".join(filter(None, (heads[key], part)))) for key, part in keys])
    writer.writerows([_text(row.get(key)) for key in keys] for row in rows)
    return out.getvalue()


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


def _text(value: Any) -> Any:
    if value is None or isinstance(value, int | float):
        return "" if value is None else value
    text = one_line(in_text(str(value)))
    return f"'{text}" if text.startswith(_FORMULAS) and not _WORD.fullmatch(text) else text
