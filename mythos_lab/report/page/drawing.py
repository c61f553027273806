"""Charts drawn by matplotlib: once for a wide page, once for a narrow one, which is a column of a paper too."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mythos_lab.report.page.charts import MOST_SERIES, Bars, Chart, Curves, Grid, Intervals, Parallel, Points, Series
from mythos_lab.report.page.labels import TITLE
from mythos_lab.report.page.labels import label as label_of
from mythos_lab.report.page.palette import DASHES, FAINTEST, INK, MARKERS, MUTED, PAPER, RULE, SERIES, STRONGEST
from mythos_lab.report.page.parallel import draw_parallel, height
from mythos_lab.report.plotting import without_settings

WIDE, NARROW = 7.0, 3.5
"""Inches: the text of a page, and a column of a paper or a telephone."""

_MOST_CELLS = 14  # of a row of a grid in which numbers stand
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: to be read aloud, searched, and set in the page's own type
    "pdf.fonttype": 42,
    "text.parse_math": False,
    "font.size": 8.5,
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.6,
    "axes.edgecolor": MUTED.light,
    "axes.labelcolor": INK.light,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "text.color": INK.light,
    "xtick.color": MUTED.light,
    "ytick.color": MUTED.light,
    "xtick.labelcolor": INK.light,
    "ytick.labelcolor": INK.light,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 0.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": RULE.light,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.4,
    "lines.markersize": 3.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.handlelength": 2.4,
}


@dataclass(frozen=True)
class Drawn:
    """A chart as vector graphics.

    Attributes:
        svg: An SVG document, its text as text.
        pdf: The same as PDF, its type embedded.
    """

    svg: str
    pdf: bytes


def draw(chart: Chart, key: str, width: float) -> Drawn:
    """Draw a chart; the same bytes each time.

    Args:
        chart: The chart.
        key: What tells its parts from those of other charts.
        width: Inches.
    """
    with _canvas(key, width, _height(chart, width)) as (figure, axes):
        if isinstance(chart, Curves):
            _curves(chart, figure, axes, width)
        elif isinstance(chart, Intervals):
            _intervals(chart, axes)
        elif isinstance(chart, Bars):
            axes.bar(chart.x, chart.y, color=SERIES[0].light, width=0.7)
            axes.set(xlabel=label_of(chart.x_name, TITLE), ylabel=label_of(chart.y_name))
            axes.xaxis.get_major_locator().set_params(integer=True)
        elif isinstance(chart, Grid):
            _grid(chart, axes)
        elif isinstance(chart, Parallel):
            names = draw_parallel(chart, axes)
            axes.set_yticks(range(len(names)), [label_of(each) for each in names])
            _legend(figure, axes, width)
        else:
            _points(chart, figure, axes, width)
        svg, pdf = io.StringIO(), io.BytesIO()
        figure.savefig(svg, format="svg", metadata={"Date": None})
        figure.savefig(pdf, format="pdf", metadata={"CreationDate": None})
    return Drawn(svg.getvalue(), pdf.getvalue())


@contextmanager
def _canvas(key: str, width: float, height: float) -> Iterator[tuple[Any, Any]]:
    with without_settings(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of characters that the type has not: the page's own has more
        from matplotlib import rcParams
        from matplotlib.figure import Figure

        rcParams.update({**_SETTINGS, "svg.hashsalt": f"{key}-{width}"})
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots()


def _height(chart: Chart, width: float) -> float:
    if isinstance(chart, Intervals):
        return 0.75 + 0.3 * min(len(chart.labels), 40)
    if isinstance(chart, Grid):
        return 0.75 + 0.26 * min(len(chart.rows), 24)
    if isinstance(chart, Bars):
        return 2.1
    if isinstance(chart, Parallel):
        return height(chart)
    return 3.1 if width == WIDE else 2.5


def _curves(chart: Curves, figure: Any, axes: Any, width: float) -> None:
    style = "-" if chart.has_lines else ""
    for i, each in enumerate(chart.series[:MOST_SERIES]):
        colour = SERIES[i].light
        axes.plot(
            each.x, each.y, linestyle=DASHES[i] if style else "", marker=MARKERS[i], color=colour,
            markerfacecolor=PAPER.light if i % 2 else colour, label=label_of(each.label) or None,
        )  # fmt: skip
        if each.low:
            _band(axes, each, colour)
    if chart.level is not None:
        axes.axhline(chart.level, color=MUTED.light, linestyle=":", linewidth=1, label=label_of(chart.level_name))
    if chart.marked is not None:
        axes.axvline(chart.marked, color=MUTED.light, linewidth=0.8, linestyle="--", label=label_of(chart.marked_name))
    places = sorted({x for each in chart.series for x in each.x})
    if chart.is_loops and places and places[0] > 0 and places[-1] > 8:
        axes.set_xscale("log", base=2)
        ticks = [x for x in places if math.log2(x) % 1 == 0] if len(places) > 6 else places
        axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
    else:
        axes.xaxis.get_major_locator().set_params(integer=True)
    values = [y for each in chart.series[:MOST_SERIES] for y in each.y if math.isfinite(y)]
    if chart.is_share:
        axes.set_ylim(min(-0.03, *values) if values else -0.03, 1.03)
    elif values and min(values) > 0 and max(values) > 50 * min(values):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    is_alone = len(chart.series) == 1 and chart.level is None and chart.marked is None
    y_name = (chart.series[0].label if is_alone else "") or chart.y_name
    axes.set(xlabel=label_of(chart.x_name, TITLE), ylabel=label_of(y_name))
    if not is_alone:
        _legend(figure, axes, width)


def _band(axes: Any, each: Series, colour: str) -> None:
    bounds = [
        (x, low, high) for x, low, high in zip(each.x, each.low, each.high, strict=True) if None not in (low, high)
    ]
    if bounds:
        x, low, high = zip(*bounds, strict=True)
        axes.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0)


def _intervals(chart: Intervals, axes: Any) -> None:
    shown = list(zip(chart.labels, chart.values, chart.low, chart.high, strict=True))[:40]
    if chart.band:
        axes.axvspan(-chart.band, chart.band, color=MUTED.light, alpha=0.16, linewidth=0)
    axes.axvline(0, color=MUTED.light, linewidth=0.8)
    ends = [abs(x) for _, *numbers in shown for x in numbers if x is not None and math.isfinite(x)]
    edge = 1.15 * max([*ends, chart.band]) or 1.0
    for y, (_, value, low, high) in enumerate(reversed(shown)):
        # What is not known to end reaches the edge.
        if any(end is not None and math.isfinite(end) for end in (low, high)):
            left, right = max(_or(low, -edge), -edge), min(_or(high, edge), edge)
            axes.plot([left, right], [y, y], color=SERIES[0].light, linewidth=2)
        axes.plot(value, y, "o", color=SERIES[0].light, markersize=5)
    axes.set_xlim(-edge if chart.is_signed else -0.03 * edge, edge)
    axes.set_yticks(range(len(shown)), [label_of(label) for label, *_ in reversed(shown)])
    axes.set(ylim=(-0.6, len(shown) - 0.4), xlabel=label_of(chart.x_name, TITLE))
    axes.grid(False, axis="y")
    axes.grid(True, axis="x")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _grid(chart: Grid, axes: Any) -> None:
    rows, columns = list(chart.rows)[:24], list(chart.columns)
    span = chart.high - chart.low or 1.0
    with_numbers = len(columns) <= _MOST_CELLS
    for i, values in enumerate(list(chart.values)[:24]):
        for j, value in enumerate(values):
            if value is None or not math.isfinite(value):
                continue
            share = min(1.0, max(0.0, (value - chart.low) / span))
            axes.add_patch(_square(j, i, FAINTEST + (STRONGEST - FAINTEST) * share))
            if with_numbers:
                axes.text(j, i, _short(value), ha="center", va="center", fontsize=7.5)
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    axes.set_yticks(range(len(rows)), [label_of(row) for row in rows])
    step = 1 if with_numbers else math.ceil(len(columns) / 8)
    axes.set_xticks(range(0, len(columns), step), [label_of(each) for each in columns[::step]])
    axes.set(xlabel=label_of(chart.column_name, TITLE), ylabel=label_of(chart.row_name))
    axes.grid(False)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def _square(column: int, row: int, strength: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(
        (column - 0.48, row - 0.46), 0.96, 0.92, facecolor=SERIES[0].light, alpha=strength, edgecolor="none"
    )


def _points(chart: Points, figure: Any, axes: Any, width: float) -> None:
    all_of = list(zip(chart.x, chart.y, chart.stands_out, strict=True))
    plain = [(x, y) for x, y, out in all_of if not out]
    special = sorted((x, y) for x, y, out in all_of if out)
    if plain:
        axes.plot(
            *zip(*plain, strict=True), "o", color=MUTED.light, markerfacecolor="none", label=label_of(chart.others)
        )
    if special:
        style = {"drawstyle": "steps-post", "linestyle": "-"} if chart.joined else {"linestyle": ""}
        axes.plot(
            *zip(*special, strict=True), marker="o", color=SERIES[0].light, label=label_of(chart.meaning), **style
        )
        if chart.joined:  # the last of them holds to the end
            axes.plot([special[-1][0], max(chart.x)], [special[-1][1]] * 2, color=SERIES[0].light)
    if chart.is_log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(True, axis="x")
    axes.set(xlabel=label_of(chart.x_name, TITLE), ylabel=label_of(chart.y_name))
    _legend(figure, axes, width)


def _legend(figure: Any, axes: Any, width: float) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        per_row = max(1, int(width * 13 / (max(map(len, labels)) + 6)))
        figure.legend(handles, labels, loc="outside upper left", ncols=min(len(labels), per_row), columnspacing=1.4)


def _short(value: float) -> str:
    return f"{value:.2f}".removeprefix("0") if abs(value) < 1 else f"{value:.3g}"


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None or not math.isfinite(value) else value


def drawn_at_most(series: Sized) -> str:
    """What is to be said of lines that are not drawn; nothing where all are."""
    return "" if len(series) <= MOST_SERIES else f"; the first {MOST_SERIES} of {len(series)} are drawn"
