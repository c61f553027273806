"""A page in all of its forms, and in a browser: readable on a telephone and a desk, in light and dark."""

import csv
import io
import re
import tempfile
import xml.etree.ElementTree as ET
from itertools import combinations, product
from math import dist
from operator import mul

import pyarrow.parquet as pq
import pytest

from mythos_lab.report.page import PAGE, write_page
from mythos_lab.report.page.drawing import WIDE, draw
from mythos_lab.report.page.palette import INK, PAPER, SERIES, STRONGEST
from mythos_lab.report.page.tidy import as_csv
from tests.lab.report import browser
from tests.lab.report.pages import charts, page


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The page and its files."""
    folder = tmp_path_factory.mktemp("page")
    write_page(page(), folder / "report")
    return folder / "report"


def test_every_figure_has_its_files_for_a_paper_and_every_table_its_own(written):
    figures = {f"{key}.{ending}" for key, ending in product(charts(), ("svg", "pdf", "csv", "parquet", "tex"))}
    tables = {f"{key}.{ending}" for key, ending in product(("table", "folded"), ("csv", "parquet", "tex"))}
    assert {path.name for path in written.iterdir()} == figures | tables | {"report.html", "report.md"}
    for key in charts():
        assert (written / f"{key}.pdf").read_bytes().startswith(b"%PDF")
        assert "accuracy" in "".join(ET.parse(written / f"{key}.svg").getroot().itertext())


@pytest.mark.parametrize("key", charts())
def test_the_table_beside_a_chart_holds_every_number_that_is_drawn(key):
    chart = charts()[key]
    drawn = [*getattr(chart, "y", ()), *(y for each in getattr(chart, "series", ()) for y in (*each.y, *each.low))]
    drawn += [value for row in getattr(chart, "values", ()) for value in (row if isinstance(row, list) else [row])]
    held = {float(cell) for row in csv.reader(io.StringIO(as_csv(chart.table()))) for cell in row if _is_number(cell)}
    assert {value for value in drawn if value is not None and value == value} <= held


@pytest.mark.parametrize("key", [*charts(), "table", "folded"])
def test_csv_and_parquet_of_a_table_hold_the_same_under_the_same_names_no_two_of_which_are_equal(key, written):
    columns = pq.read_table(written / f"{key}.parquet").to_pydict()
    heads, *rows = csv.reader(io.StringIO((written / f"{key}.csv").read_text()))
    assert heads == list(columns) and len(set(heads)) == len(heads)
    said = [["" if cell is None else str(cell) for cell in row] for row in zip(*columns.values(), strict=True)]
    assert [[_as_float(cell) for cell in row] for row in rows] == [[_as_float(cell) for cell in row] for row in said]


def _as_float(text):
    return float(text) if _is_number(text) else text


def test_a_figure_comes_out_the_same_each_time(written):
    again = draw(charts()["curves"], "curves", WIDE)
    assert again.svg == (written / "curves.svg").read_text()
    assert again.pdf == (written / "curves.pdf").read_bytes()


def test_ink_on_the_darkest_shade_of_a_grid_has_contrast_in_light_and_dark():
    for mode in ("light", "dark"):
        ink, paper, shade = (_of(getattr(c, mode)) for c in (INK, PAPER, SERIES[0]))
        blended = [STRONGEST * s + (1 - STRONGEST) * p for s, p in zip(shade, paper, strict=True)]
        assert _contrast(ink, blended) >= 4.5, mode


# Of full protanopia, deuteranopia and tritanopia, on linear RGB: Machado et al. 2009, table 1.
_SIGHT = (
    ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_no_two_series_look_the_same_to_anybody(mode):
    """A difference of 2.3 in CIELAB is just noticeable beside each other; lines lie apart."""
    for sight, (one, other) in product(_SIGHT, combinations(SERIES, 2)):
        seen = [_lab([sum(map(mul, row, _linear(_of(getattr(c, mode))))) for row in sight]) for c in (one, other)]
        assert dist(*seen) > 9, (one, other, sight)
    assert all(_contrast(_of(getattr(c, mode)), _of(getattr(PAPER, mode))) >= 3 for c in SERIES)


def _of(text):
    return [int(text[i : i + 2], 16) for i in (1, 3, 5)]


def _lab(rgb):
    matrix = ((0.4339, 0.3762, 0.1899), (0.2126, 0.7152, 0.0722), (0.0177, 0.1095, 0.8727))  # to XYZ over its white
    x, y, z = (max(0.0, sum(map(mul, row, rgb))) ** (1 / 3) for row in matrix)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


_TEXTS = """[...document.querySelectorAll('body *')].filter(e => e.getClientRects().length && [...e.childNodes].some(
  n => n.nodeType == 3 && n.data.trim())).map(e => [getComputedStyle(e)[e instanceof SVGElement ? 'fill' : 'color'],
  (function ground(e) { const c = getComputedStyle(e).backgroundColor;
    return c != 'rgba(0, 0, 0, 0)' || !e.parentElement ? c : ground(e.parentElement); })(e), e.textContent.slice(0, 30)])"""
_STROKES = """[...new Set([...document.querySelectorAll('svg path[stroke-width], svg use')].filter(
  e => !e.closest('defs') && e.getClientRects().length).map(e => getComputedStyle(e).stroke))].filter(s => s != 'none')"""
_CHARTS = """[...document.querySelectorAll('figure')].map(f => [...f.querySelectorAll('svg')].map(
  s => s.getBoundingClientRect()).filter(b => b.width > 0).map(b => [b.left, b.right, b.height]))"""


@pytest.mark.skipif(browser.PROGRAM is None, reason="no Chromium on this machine: the page was not opened in a browser")
def test_a_browser_shows_the_page_at_both_widths_in_light_and_dark_and_asks_the_network_nothing(written):
    url = (written / PAGE).as_uri()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, browser.browser(profile) as tab:
        for width, dark in product((1280, 390), (False, True)):
            tab.open(url, width, dark)
            assert tab.requests == [url] and tab.complaints == []
            assert tab.value("document.documentElement.scrollWidth") <= width
            for boxes in tab.value(_CHARTS):
                ((left, right, height),) = boxes  # one drawing of the two is shown
                assert 0 <= left < right <= width and height > 60
            texts = tab.value(_TEXTS)
            faint = [each for each in texts if _contrast(_rgb(each[0]), _rgb(each[1])) < 4.5]
            assert len(texts) > 100 and not faint, (width, dark, faint[:5])
            paper = _rgb(tab.value("getComputedStyle(document.body).backgroundColor"))
            assert (sum(paper) < 200) == dark
            assert not [s for s in tab.value(_STROKES) if _contrast(_rgb(s), paper) < 3 and not _is_rule(s)]


def _is_rule(stroke):
    """Lines of the grid, which are to be faint."""
    return stroke in ("rgb(217, 220, 222)", "rgb(54, 60, 67)")


def _rgb(text):
    return [float(x) for x in re.findall(r"[\d.]+", text)[:3]]


def _contrast(one, other):
    """Of two colours, by WCAG 2.2."""

    low, high = sorted(sum(map(mul, (0.2126, 0.7152, 0.0722), _linear(colour))) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def _linear(colour):
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in colour)]


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True
