"""What tables of comparisons and of runs say alike: means over seeds, and places."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from mythos_lab.comparison.verdict import half_width, shown_mean
from mythos_lab.report.table import Cell


def mean(values: Sequence[float]) -> Cell:
    """A mean over seeds, with half its 95 % interval where there are several."""
    if len(values) < 2:
        return Cell(fmean(values), shown_mean(values))
    return Cell({"mean": fmean(values), "plus_minus": half_width(values)}, shown_mean(values))


def near(path: Path) -> Path:
    """A path as the working directory sees it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
