"""What measures came to, as a tidy table: a row a value."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from mythos_blocks.declaring.registry import lookup
from mythos_lab.measures.base import Measure, Outcome
from mythos_lab.recipe.outputs import write_whole
from mythos_lab.recipe.parquet import as_parquet, has_parquet

COLUMNS = ("measure", "quantity", "loop", "of", "value", "low", "high", "unit", "note")

TABLE = "measures.csv"
"""The file of a run's folder that has them; with pyarrow, ``measures.parquet`` beside it."""

_MOST_BYTES = 2**24
_NUMBERS = {"value": float, "low": float, "high": float, "loop": int}


def rows(outcomes: Iterable[Outcome]) -> Iterator[dict[str, str | float | int | None]]:
    """The values under :data:`COLUMNS`; ``None`` where there is nothing."""
    for outcome in outcomes:
        made = lookup("measure", outcome.kind)
        assert issubclass(made, Measure)
        for value in outcome.values:
            low, high = (None, None) if value.interval is None else value.interval
            cells = (value.quantity, value.loop, value.of or None, value.value, low, high)
            yield dict(
                zip(
                    COLUMNS,
                    (outcome.kind, *cells, made.quantities[value.quantity].unit, value.note or None),
                    strict=True,
                )
            )


def write(outcomes: Iterable[Outcome], folder: Path) -> list[Path]:
    """Write the table into a folder; returns the files. What other measures left there is kept."""
    new = list(rows(outcomes))
    taken = {row["measure"] for row in new}
    every = [row for row in _read(folder / TABLE) if row["measure"] not in taken] + new
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: "" if cell is None else cell for key, cell in row.items()} for row in every)
    write_whole(folder / TABLE, text.getvalue())
    if not has_parquet():
        return [folder / TABLE]
    parquet = (folder / TABLE).with_suffix(".parquet")
    kinds = {name: _NUMBERS.get(name, str) for name in COLUMNS}
    write_whole(parquet, as_parquet({name: [row[name] for row in every] for name in COLUMNS}, kinds))
    return [folder / TABLE, parquet]


def _read(path: Path) -> list[dict[str, str | float | int | None]]:
    """What was written there; nothing where it is not a table of ours."""
    if not path.is_file() or path.stat().st_size > _MOST_BYTES:
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table = list(csv.DictReader(file))
        return [{key: _NUMBERS.get(key, str)(row[key]) if row[key] else None for key in COLUMNS} for row in table]
    except (ValueError, KeyError, csv.Error):
        return []
