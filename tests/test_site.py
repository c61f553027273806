"""The documentation site, as `make site` has built it, in a browser: desktop and phone, light and dark."""

import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.lab.report import browser

SITE = Path("build/site")
WRITTEN = [*Path("docs").rglob("*.md"), *map(Path, ("mkdocs.yml", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"))]
PAGES = ("index", "components", "blocks", "api/model", "systems/openmythos", "notebook")
"""Of each kind one: prose with a figure, wide tables, code, docstrings, records of experiments, a long page."""

_TORN = (
    "[...document.querySelectorAll('td code')].filter(each => /^\\w+$/.test(each.textContent) && "
    "each.getClientRects().length > 1).map(each => each.textContent)"
)
_PICTURES = "[...document.images].filter(each => !each.complete || !each.naturalWidth).map(each => each.src)"


def missing():
    """Why there is no site to be opened, or none of these pages; ``None`` where there is."""
    if browser.PROGRAM is None:
        return "no Chromium on this machine: the site was not opened in a browser"
    if not (SITE / "index.html").is_file():
        return "the site is not built: make site"
    built = (SITE / "index.html").stat().st_mtime
    late = [str(page) for page in WRITTEN if page.stat().st_mtime > built]
    return f"the site is older than {late[0]}: make site" if late else None


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def address():
    if (why := missing()) is not None:
        pytest.skip(why)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(SITE))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def tab():
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, browser.browser(profile) as tab:
        yield tab


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)], ids=["desktop", "phone"])
@pytest.mark.parametrize("page", PAGES)
def test_a_page_fits_its_width_and_all_that_it_asks_for_is_its_own_and_there(address, tab, page, width, dark):
    tab.open(f"{address}/{page}.html", width, dark)
    heading = tab.value("document.querySelector('h1').getBoundingClientRect().width")
    assert 100 < heading <= width and tab.value("document.documentElement.scrollWidth") <= width
    assert tab.value("document.querySelectorAll('article p').length") > 3
    assert tab.value(_TORN) == [] and tab.value("document.querySelectorAll('blockquote blockquote').length") == 0
    assert tab.value(_PICTURES) == [] and tab.complaints == [] and tab.failures == []
    assert not [url for url in tab.requests if not url.startswith((address, "data:"))]


def test_its_search_finds_a_component(address, tab):
    tab.open(f"{address}/index.html", 1280, dark=False)
    tab.value("document.querySelector('[data-md-component=search-query]').focus() || true")
    tab("Input.insertText", text="poisson_lognormal")
    found = "[...document.querySelectorAll('.md-search-result__link')].map(each => each.href)"
    assert any("components.html" in link for link in tab.until(found)) and tab.complaints == []
