"""The figure of a matrix: a colour and a number in every cell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from mythos_lab.report.plotting import drawn, literal

_DARK = 0.5  # of the colours' range: above it, numbers are dark on light


def heat_map(
    cells: Mapping[tuple[int, int], tuple[float, str]],
    down: Sequence[int],
    across: Sequence[int],
    *,
    rows: str,
    columns: str,
    title: str,
    higher_is_better: bool,
    path: Path,
) -> Path:
    """Draw a matrix, light where it is good, with the cells framed whose row and column are one.

    Args:
        cells: By row and column the value that gives the colour, and what stands in the cell; missing ones stay empty.
        down: The rows, from above.
        across: The columns.
        rows: What the rows are.
        columns: What the columns are.
        title: Above the axes.
        higher_is_better: Whether high values are light.
        path: Where the PNG goes.

    Returns:
        The path.
    """
    with drawn(path, 1.8 + 1.0 * len(across), 1.4 + 0.6 * len(down)) as axes:
        values = [[cells.get((row, column), (math.nan, ""))[0] for column in across] for row in down]
        image = axes.imshow(values, cmap="viridis" if higher_is_better else "viridis_r", aspect="auto")
        for y, row in enumerate(down):
            for x, column in enumerate(across):
                if (row, column) not in cells:
                    continue
                value, text = cells[row, column]
                share = float(image.norm(value))
                light = (share if higher_is_better else 1 - share) > _DARK
                axes.text(
                    x, y, literal(text), ha="center", va="center", fontsize=8, color="black" if light else "white"
                )
                if row == column:
                    axes.add_patch(_frame(x, y))
        axes.set_xticks(range(len(across)), [str(column) for column in across])
        axes.set_yticks(range(len(down)), [str(row) for row in down])
        axes.set(xlabel=literal(columns), ylabel=literal(rows), title=literal(title))
    return path


def _frame(x: int, y: int) -> object:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.47, y - 0.47), 0.94, 0.94, fill=False, edgecolor="tab:red", linewidth=1.5)
