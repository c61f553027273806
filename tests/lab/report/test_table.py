"""Tables lose nothing, whatever the width; and what users wrote is text, not markup."""

import io
import json
import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from mythos_lab.recipe.screen import escaped
from mythos_lab.report.layout import folded, laid_out
from mythos_lab.report.report import Report
from mythos_lab.report.table import Cell, Column, Table, interval, name, number, prose
from mythos_lab.report.terminal import as_json, show

WORDS = st.text("abcdefgh |<[]/=_.-,:é漢\\\n\t", max_size=40)
NUMBERS = st.one_of(st.integers(-(10**12), 10**12), st.floats(allow_nan=True, width=32))
COLUMN = st.tuples(st.booleans(), st.integers(0, 3), st.sampled_from(["left", "right"]), WORDS)


@st.composite
def tables(draw):
    kinds = draw(st.lists(COLUMN, min_size=1, max_size=9))
    columns = [
        Column(f"c{i}", head, "" if text else ".4g", align, importance, folds=text)
        for i, (text, importance, align, head) in enumerate(kinds)
    ]
    cells = [WORDS if column.folds else NUMBERS for column in columns]
    return Table(columns, draw(st.lists(st.tuples(*cells), max_size=4)), draw(WORDS))


def letters(text):
    return sorted(re.sub(r"\s", "", text))


@settings(max_examples=150, deadline=None)
@given(tables(), st.sampled_from([20, 40, 80, 200]))
def test_no_width_loses_a_character_or_parts_a_number(table, width):
    text = "\n".join(line.text for line in laid_out(table, width))
    for row in table.texts():
        for column, cell in zip(table.columns, row, strict=True):
            if not column.folds:
                assert re.search(rf"(?<![\d.]){re.escape(cell)}(?![\d.])", text)
            for character in set(letters(cell)):
                assert character in text
    widest = max((cell_len(piece) for row in table.texts() for cell in row for piece in cell.split()), default=0)
    heads = max(cell_len(column.heading) for column in table.columns) + 2
    assert all(cell_len(line.text) <= max(width, widest + heads) for line in laid_out(table, width))


def test_a_cell_that_leads_somewhere_is_a_link_in_markdown_and_its_text_elsewhere():
    table = Table((name("system"), number("n")), [(Cell("a", "A [b]", "a.md"), 1), (Cell("c", "C"), 2)])
    assert table.markdown().splitlines()[2:] == ["| [A \\[b\\]](a.md) | 1 |", "| C | 2 |"]
    assert table.texts() == [["A [b]", "1"], ["C", "2"]]


@settings(max_examples=100, deadline=None)
@given(tables())
def test_a_pipe_gets_one_line_a_row_markdown_a_row_of_as_many_cells_and_json_is_strict(table):
    assert sum(not line.is_head for line in laid_out(table, None)) == len(table.rows)
    for line in table.markdown().splitlines():
        assert len(re.split(r"(?<!\\)(?:\\\\)*\|", line)) == len(table.columns) + 2
    report = Report()
    report.show("rows", table)
    assert len(json.loads(as_json(report), parse_constant=pytest.fail)["rows"]) == len(table.rows)


@given(st.text("ab 1.,e-", max_size=60), st.integers(1, 30))
def test_folding_keeps_every_character_and_breaks_within_no_number(text, width):
    lines = folded(text, width)
    assert "".join("".join(lines).split()) == "".join(text.split())
    joined = " ".join(lines)
    for digits in re.findall(r"(?<![\w.,-])\d+(?:\.\d+)?(?![\w.,-])", text):
        assert digits in joined


def test_columns_go_below_by_importance_and_a_line_says_which():
    columns = (name("arm"), number("first"), number("second", importance=3), number("third", importance=2))
    lines = [line.text for line in laid_out(Table(columns, [("full", 0.12345, 0.23456, 0.34567)]), 20)]
    assert lines == [
        "arm    first   third",
        "full  0.1235  0.3457",
        "(further columns",
        "below: second)",
        "",
        "arm   second",
        "full  0.2346",
    ]


def test_where_not_even_two_columns_fit_rows_are_lists():
    table = Table((name("arm"), number("interval", form="+.3g")), [("full", interval(-1.234567, float("inf"), "+.5g"))])
    assert [line.text for line in laid_out(table, 9)] == ["arm: full", "interval:", "-1.2346", "to open"]


@pytest.mark.parametrize(
    "text", ["[/data]", "[bold", "a\x1b[31mred", "[link=file:///x]y[/link]", "two\nlines\tand tabs"]
)
def test_what_users_wrote_is_never_obeyed(text):
    report = Report()
    report.say(text)
    report.show("t", Table((name("a", text), prose("b")), [(text, Cell(text, text))], text))
    for width in (12, 80, None):
        file = io.StringIO()
        show(report, file, width)
        assert "\x1b[3" not in file.getvalue()
        assert "".join(escaped(text).split()) in "".join(file.getvalue().split())


def test_a_terminal_that_has_not_the_character_shows_another_whoever_writes(monkeypatch):
    from mythos_lab.cli.output import never_refuse_characters

    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    never_refuse_characters()
    print("0.5 ± 0.1 ━━━")
    terminal.flush()
    assert terminal.buffer.getvalue() == b"0.5 ? 0.1 ???\n"
    said = subprocess.run([sys.executable, "-c", "print('0.5 ± 0.1')"], capture_output=True, check=True)
    assert said.stdout == b"0.5 ? 0.1\n"
