"""A page with every kind of part and chart, made by hand."""

import math

from mythos_lab.report.page import (
    Axis,
    Bars,
    Commands,
    Curves,
    Fact,
    Figure,
    Finding,
    Grid,
    Intervals,
    Page,
    Parallel,
    Points,
    Section,
    Series,
    Tabled,
)
from mythos_lab.report.table import Table, interval, name, number, prose


def charts(text="accuracy"):
    """A chart of every kind, by the name of its files; all of its texts are the given one."""
    loops = [1, 2, 4, 8, 16]
    lines = [
        Series(f"{text} {i}", loops, [0.5 + 0.1 * i] * 5, [0.4 + 0.1 * i] * 5, [0.6 + 0.1 * i] * 5) for i in range(6)
    ]
    return {
        "curves": Curves(text, text, lines, level=0.5, level_name=text, marked=4, marked_name=text, is_share=True),
        "alone": Curves(text, text, [Series(text, [1, 2, 3], [1.0, 100.0, math.nan])]),
        "intervals": Intervals(text, [text, "b"], [0.1, -0.2], [0.0, -math.inf], [0.2, None], band=0.05),
        "bars": Bars(text, text, [1, 2, 3], [0.2, 0.3, 0.5]),
        "grid": Grid(text, text, text, [text, "b"], ["1", "2", "4"], [[0.5, 1.0, None], [0.0, 0.25, 0.9]]),
        "magnitudes": Intervals(text, [text, "b"], [0.7, 0.3], [None, None], [None, None], is_signed=False),
        "parallel": Parallel(
            [
                Axis(text, [1, 10, 100, None], is_log=True),
                Axis(text, ["x", text, "x", "y"], ["x", text, "y"]),
                Axis(text, [2.0, 2.0, 2.0, 2.0]),
                Axis("all missing", [None, None, None, None]),
            ],
            ["0", "1", "2", "3"],
            [False, True, False, False],
            text,
            text,
        ),
        "points": Points(text, text, ["0", "1", "2"], [0, 1, 2], [0.3, 0.2, 0.6], [True, False, True], text, text),
    }


def page(text="accuracy"):
    """The page; all of its texts are the given one."""
    table = Table((name("a", text), number("b", text), prose("c", text)), [(text, interval(0, 1), text * 4)] * 3, text)
    figures = [Figure(key, text, chart, key in ("alone", "bars")) for key, chart in charts(text).items()]
    parts = [text, Finding(text, text), *figures, Tabled("table", table), Tabled("folded", table, True)]
    return Page(
        text, text, text, text, [Fact(text, text, text)] * 5, [Section(text, [*parts, Commands([text])])], about=text
    )
