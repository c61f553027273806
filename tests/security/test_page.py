"""A page of somebody else's run or study: their texts are shown, and neither the browser nor a spreadsheet obeys them."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from mythos_lab.comparison.reporting.recorded import read_run
from mythos_lab.comparison.reporting.reported import report_of
from mythos_lab.recipe import RecipeError
from mythos_lab.report.page import PAGE, Page, write_page
from mythos_lab.report.page.latex import as_latex
from mythos_lab.report.page.tidy import as_csv
from mythos_lab.report.table import Table, name
from mythos_lab.tracking.mlflow import Tracker
from tests.lab.report.pages import page
from tests.security import tiny, write

HOSTILE = (
    """</title></style><script>alert(1)</script><img src=http://evil/x onerror=y>"'><svg onload=z><a href=javascript:w>"""
    """ ${7*7} {{7*7}} &lt;b&gt; ]]> --> \x1b[31m\u202e http://me:secret@evil/ $x^2$ \\input{/etc/passwd}"""
)
SEEN = ("<script>alert(1)</script>", "{{7*7}}", "&lt;b&gt;", "$x^2$")
TAGS = {
    "html", "head", "meta", "title", "style", "body", "main", "header", "p", "h1", "h2", "dl", "div", "dt", "dd", "span", "section",
    "table", "thead", "tbody", "tr", "th", "td", "figure", "figcaption", "details", "summary", "pre", "code",
    "svg", "g", "path", "defs", "use", "text", "clippath", "rect",
}  # fmt: skip
ATTRIBUTES = {
    "lang",
    "charset",
    "http-equiv",
    "content",
    "name",
    "class",
    "id",
    "role",
    "tabindex",
    "aria-label",
    "scope",
}


class _Read(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.texts = set(), set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {(tag, *pair) for pair in attrs}

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("theirs")
    write_page(page(HOSTILE), folder)
    return folder


@pytest.fixture(scope="module")
def read(theirs):
    found = _Read()
    found.feed((theirs / PAGE).read_text())
    return found


def test_a_page_shows_others_texts_and_obeys_none(read):
    assert read.tags <= TAGS
    drawn = {"d", "viewbox", "x", "y", "width", "height", "transform", "clip-path", "href", "text-anchor"}
    painted = re.compile(r"fill|stroke|opacity|font-(size|weight)")
    for tag, attribute, value in read.attributes:
        assert attribute in ATTRIBUTES | drawn or painted.match(attribute), (tag, attribute)
        assert attribute != "href" or value.startswith("#")
        assert "url(" not in (value or "") or re.fullmatch(r"url\(#[\w-]+\)", value)
    shown = "".join(read.texts)
    assert all(shown.count(seen) > 10 for seen in SEEN)
    assert "secret" not in shown and "\x1b" not in shown and "\u202e" not in shown


def test_the_policy_lets_in_the_pages_own_style_sheet_alone(theirs, read):
    (policy,) = (v for t, a, v in read.attributes if t == "meta" and a == "content" and v.startswith("default-src"))
    style = (theirs / PAGE).read_text().partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "@SUM(A1)", "-2+3", "\t=1", HOSTILE])
def test_tables_hold_no_command_and_no_formula(text):
    table = Table((name("a", text),), [(text,)])
    assert not re.search(r"(^|\n|\")[=+@-]", as_csv(table))
    latex = as_latex(table)
    allowed = r"\\(begin|end|toprule|midrule|bottomrule|textbackslash|text\w+|\\|[{}$&#%_]|pm)"
    assert re.sub(allowed, "", latex).count("\\") == 0


DEPTH = {"loops": 1, "loss": 0.1, "accuracy": 0.9}
SAYS = {
    "many rows": {"depth_curve": [{**DEPTH, "loops": n} for n in range(10_000)]},
    "many levels": {"depth_curve": [{**DEPTH, **{f"hops={n}": 1.0 for n in range(10_000)}}]},
    "no order": {"depth_curve": [DEPTH, DEPTH]},
    "a text": {"depth_curve": [{**DEPTH, "loss": "<b>"}]},
    "no row": {"ood_depth_curve": ["row"]},
    "a huge number": {"depth_curve": [{**DEPTH, "loops": 10**400}]},
    "no interval": {"intervals": {"val/accuracy": [1, 2, 3]}},
    "no finding": {"findings": {"loop_verdict": 3}},
    "a long histogram": {"halting_histogram": [0.1] * 10_000},
    "no count": {"eval_loops": 1.5},
}


@pytest.mark.parametrize("says", SAYS.values(), ids=SAYS)
def test_a_record_that_says_what_no_run_says_is_refused_in_a_line(tmp_path, says):
    _run(tmp_path, **says)
    with pytest.raises(RecipeError, match=r"result\.json: ") as caught:
        read_run(tmp_path)
    assert len(caught.value.lines) == 1 and len(caught.value.lines[0]) < 400


def test_a_page_is_no_artifact_of_a_run_that_a_record_only_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    theirs = tmp_path / "theirs"
    _run(theirs, {"run_id": "0" * 32})
    found = report_of([str(theirs)])
    said = found.tracked.told(write_page(found.page, found.folder)[0])
    assert "there is no store" in said and not (tmp_path / "mlflow.db").exists()
    mine = Tracker(None, None, "mine", key="my key")
    mine.finish("FINISHED")
    for key, told in (("0", "is another one"), ("my key", None)):
        _run(theirs, {"run_id": mine.run_id, "key": key})
        found = report_of([str(theirs)])
        said = found.tracked.told(found.folder / PAGE)
        assert said is None if told is None else told in said
    assert len(list((tmp_path / "mlruns").rglob(PAGE))) == 1


def _run(folder, state={}, **says):
    """A run's folder, as somebody wrote it."""
    write(folder / "recipe.yaml", tiny())
    (folder / "run.json").write_text(json.dumps({"key": "0", **state}))
    (folder / "result.json").write_text(json.dumps({"status": "finished", "metrics": {"val/accuracy": 0.5}, **says}))


def test_a_page_goes_to_no_folder_that_a_link_leads_to(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/report.md").write_text("mine")
    (tmp_path / "report").symlink_to(tmp_path / "thesis")
    with pytest.raises(RecipeError, match="is a link"):
        write_page(Page("", "", "", ""), tmp_path / "report")
    assert (tmp_path / "thesis/report.md").read_text() == "mine"
