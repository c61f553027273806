"""What tables of comparisons and of runs say alike: means over seeds, and places."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from mythos_lab.comparison.verdict import half_width, shown_mean
from mythos_lab.report.table import Cell, nothing


def mean(values: Sequence[float]) -> Cell:
    """A mean over seeds, with half its 95 % interval where there are several."""
    return means([values])[0]


def means(column: Sequence[Sequence[float]]) -> list[Cell]:
    """The same of every row of a column, written in one way; rows without values have nothing."""
    in_full = all(fmean(values).is_integer() for values in column if values)
    return [_mean(values, in_full) if values else nothing() for values in column]


def _mean(values: Sequence[float], in_full: bool) -> Cell:
    shown = shown_mean(values, in_full)
    if len(values) < 2:
        return Cell(fmean(values), shown)
    return Cell({"mean": fmean(values), "plus_minus": half_width(values)}, shown)


def near(path: Path) -> Path:
    """A path as the working directory sees it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
