"""A page in all of its forms, and in a browser: readable on a telephone and a desk, in light and dark."""

import csv
import io
import re
import tempfile
import xml.etree.ElementTree as ET
from itertools import product

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
    figures = {f"{key}.{ending}" for key, ending in product(charts(), ("svg", "pdf", "csv", "tex"))}
    tables = {f"{key}.{ending}" for key, ending in product(("table", "folded"), ("csv", "tex"))}
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


def test_a_figure_comes_out_the_same_each_time(written):
    again = draw(charts()["curves"], "curves", WIDE)
    assert again.svg == (written / "curves.svg").read_text()
    assert again.pdf == (written / "curves.pdf").read_bytes()


def test_ink_on_the_darkest_shade_of_a_grid_has_contrast_in_light_and_dark():
    for mode in ("light", "dark"):
        ink, paper, shade = ([int(getattr(c, mode)[i : i + 2], 16) for i in (1, 3, 5)] for c in (INK, PAPER, SERIES[0]))
        blended = [STRONGEST * s + (1 - STRONGEST) * p for s, p in zip(shade, paper, strict=True)]
        assert _contrast(ink, blended) >= 4.5, mode


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

    def luminance(colour):
        parts = [c / 255 for c in colour]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True
