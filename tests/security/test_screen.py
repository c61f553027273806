"""What others wrote is shown and not obeyed: on a terminal, in a log, in Markdown."""

import ast
import io
import logging
import sys
import warnings
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from mythos_lab.cli import app
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.screen import guard_errors, say
from mythos_lab.report.markdown import as_code, in_cell, in_text
from mythos_lab.report.report import Report
from mythos_lab.report.table import Table, name, prose
from mythos_lab.report.terminal import show

HOSTILE = [
    "\x1b]0;title\x07", "\x1b[2J\x1b[31mred", "\x9b31m", "\r over", "back\b\b\b", "\u202egnp.exe", "\u2066x\u2069", "a\u200bb",
    "\u2028line", "\x85next", "[/b]", "[bold red]x[/]", "[link=file:///etc]x[/link]", "\ud800", "\x00",
]  # fmt: skip


def harmless(text):
    """Whether a terminal would print it all and obey none of it."""
    return all(c.isprintable() or c in "\n\t" for c in text)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_terminal_sees_no_sequence_in_whatever_is_printed(text):
    report, out = Report(), io.StringIO()
    report.show("rows", Table((name("key"), prose(text, text, 1)), [(text, text)], text))
    report.say(text, head=True)
    report.say(text, whole=True, indent=2)
    for width in (None, 30):
        show(report, out, width=width)
    say(text, file=out)
    say(RecipeError(f"{text}: wrong"), file=out)
    shown = out.getvalue()
    assert harmless(shown.replace("\x1b[1m", "").replace("\x1b[0m", ""))
    assert "[/b]" not in text or shown.count("[/b]") >= 10  # and nothing of it is taken for markup


@pytest.mark.parametrize("text", HOSTILE[:-2])
def test_a_command_line_is_answered_without_its_sequences(text):
    for line in (
        [f"x{text}"],
        ["train", f"{text}.yaml"],
        ["train", "looped", f"{text}=1"],
        ["inspect", f"{text}.yaml"],
        ["study", text],
    ):
        done = CliRunner().invoke(app, line)
        assert done.exit_code == 2 and harmless(done.output), line


def test_tracebacks_and_warnings_are_escaped_too(capsys, monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    factory = logging.getLogRecordFactory()
    guard_errors()
    try:
        sys.excepthook(KeyError, KeyError("\x1b[31m"), None)
        sys.excepthook(ValueError, ValueError("\x1b[31m"), None)
        record = logging.getLogger("of.another").makeRecord("of.another", 30, "f", 1, "%s", ("\x1b[31m",), None)
        assert record.getMessage() == "\\x1b[31m"
        assert harmless(warnings.formatwarning("\x1b[31m", UserWarning, "f", 1))
    finally:
        logging.setLogRecordFactory(factory)
    assert harmless(capsys.readouterr().err)


def test_everything_is_printed_by_one_function():
    calls = []
    for path in Path("mythos_lab").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "print",
                "typer.echo",
                "sys.stdout.write",
                "sys.stderr.write",
            ):
                calls.append(str(path))
    # Which first say a line of their own: that something happens, and which modules are imported.
    assert sorted(calls) == ["mythos_lab/cli/output.py", "mythos_lab/imports.py", "mythos_lab/recipe/screen.py"]


ACTIVE = [
    "# heading", "- item", "+ item", "1. item", "1) item", "> quote", "--- ", "=====", "<script>alert(1)</script>", "<img src=x onerror=y>",
    "![x](http://evil/t.png)", "[x](javascript:y)", "[x]: http://evil", "<http://evil>", "http://evil/x", "https://evil", "www.evil.com",
    "*a*", "_a_", "**a**", "`a`", "``", "~~a~~", "a | b", "&lt;", "&copy;", "\\", "\\*a\\*", "$x$", "a\n\n# b", "a\n- b", "```\nx", "| a |",
]  # fmt: skip


@pytest.mark.parametrize("text", ACTIVE)
@pytest.mark.parametrize(
    "put", [lambda t: in_text(t), lambda t: f"- {in_text(t)}", lambda t: f"# {in_text(t)}", lambda t: as_code(t)]
)
def test_markdown_shows_a_text_as_it_is(text, put):
    tokens = MarkdownIt("gfm-like", {"linkify": False, "html": True}).parse(f"{put(text)}\n")
    inline = [token for token in tokens if token.type == "inline"]
    assert len(inline) == 1
    kinds = {child.type for child in inline[0].children}
    assert kinds <= {"text", "text_special", "code_inline"}
    assert "".join(child.content for child in inline[0].children).split() == text.split()


@pytest.mark.parametrize("text", ACTIVE)
def test_a_cell_of_markdown_is_one_cell(text):
    page = Table((name("a"), prose("b")), [(text, "x")]).markdown()
    tokens = MarkdownIt("gfm-like", {"linkify": False, "html": True}).parse(page)
    cells = [tokens[i + 1] for i, token in enumerate(tokens) if token.type == "td_open"]
    assert len(cells) == 2 and in_cell(text)
    assert {child.type for child in cells[0].children} <= {"text", "text_special"}
