"""How a figure is drawn: by matplotlib's own settings, without a screen, and loaded when there is one to draw.

A ``matplotlibrc`` in the working directory, which may be somebody else's, has no say: it could have text set by LaTeX.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mythos_lab.recipe.outputs import whole

_DPI = 120


@contextmanager
def drawn(path: Path, width: float, height: float) -> Iterator[Any]:
    """Axes to draw on, which are a PNG when the block ends.

    Args:
        path: Where it goes.
        width: Inches.
        height: Inches.
    """
    with drawn_panels(path, 1, 1, width, height) as panels:
        yield panels[0]


@contextmanager
def drawn_panels(path: Path, num_rows: int, num_columns: int, width: float, height: float) -> Iterator[list[Any]]:
    """Axes in rows to draw on, as :func:`drawn`; width and height are of the whole."""
    with without_settings():
        from matplotlib.figure import Figure  # not pyplot, which keeps figures and looks for a screen

        figure = Figure(figsize=(width, height), layout="constrained")
        yield list(figure.subplots(num_rows, num_columns, squeeze=False).flat)
        with whole(path) as partial:
            figure.savefig(partial, dpi=_DPI, format="png")


@contextmanager
def without_settings() -> Iterator[None]:
    """Within it matplotlib has its own settings and no screen, whatever lies in the working directory."""
    import matplotlib

    matplotlib.use("Agg")
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield


def literal(text: str) -> str:
    """A text of others as it reads: a dollar sign begins no formula."""
    return text.replace("$", r"\$")
