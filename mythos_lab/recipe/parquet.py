"""Tables as Parquet, where pyarrow is there."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Mapping, Sequence
from typing import Any

Cells = Sequence[str | float | int | None]


def has_parquet() -> bool:
    """Whether Parquet can be written here."""
    return importlib.util.find_spec("pyarrow") is not None


def as_parquet(columns: Mapping[str, Cells], kinds: Mapping[str, type] | None = None) -> bytes:
    """Columns of equal length as a Parquet file.

    Args:
        columns: By name; ``None`` where there is nothing.
        kinds: ``int``, ``float`` or ``str`` of columns whose cells do not tell, as of one that may be empty. Of others
            the cells do: whole numbers, numbers, or, where there is any text among them, texts.
    """
    import pyarrow
    import pyarrow.parquet

    types: dict[type, Any] = {int: pyarrow.int64(), float: pyarrow.float64(), str: pyarrow.string()}
    known = {name: (kinds or {}).get(name) or _kind(cells) for name, cells in columns.items()}
    arrays = {
        name: pyarrow.array([None if cell is None else known[name](cell) for cell in cells], types[known[name]])
        for name, cells in columns.items()
    }
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(arrays), out)
    return out.getvalue()


def _kind(cells: Cells) -> type:
    there = {type(cell) for cell in cells if cell is not None}
    if there == {int} and all(abs(cell) < 2**63 for cell in cells if isinstance(cell, int)):
        return int
    return float if there and there <= {int, float} else str
