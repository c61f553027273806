"""Reports on the terminal, through a pipe, and as JSON."""

from __future__ import annotations

import json
from typing import IO

from rich.console import Console
from rich.text import Text

from mythos_lab.recipe.screen import escaped, one_line
from mythos_lab.recipe.urls import in_text
from mythos_lab.report.layout import Line, folded, laid_out
from mythos_lab.report.report import Report, Sentence


def show(report: Report, file: IO[str] | None = None, width: int | None = None) -> None:
    """Write a report to where the output goes.

    A terminal gets it in its width; everything else gets every line whole, without colour.

    Args:
        report: The report.
        file: The output; standard output without.
        width: Columns of the terminal, where they are known better than by asking.
    """
    console = Console(file=file, highlight=False, width=width)
    is_terminal = console.is_terminal or width is not None
    for line in lines(report, console.width if is_terminal else None):
        text = writable(in_text(line.text), console.file)
        console.print(Text(text, style="bold" if line.is_head else ""), soft_wrap=True)


def lines(report: Report, width: int | None) -> list[Line]:
    """The lines of a report; ``None`` is the width of a pipe."""
    found: list[Line] = []
    for part in report.parts:
        found += _sentence(part, width) if isinstance(part, Sentence) else laid_out(part, width)
    return found


def as_json(report: Report) -> str:
    """The report as one strict JSON document."""
    return json.dumps(report.facts, indent=1, allow_nan=False)


def writable(text: str, file: IO[str]) -> str:
    """A text with ``?`` for each character that the output's encoding has not: none of them is worth ending a run."""
    encoding = getattr(file, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def _sentence(said: Sentence, width: int | None) -> list[Line]:
    """Its lines; its own line breaks are kept, since samples of a task are drawn with them."""
    before, found = " " * said.indent, []
    for text in said.text.splitlines() or [""]:
        clean = escaped(text.expandtabs()) if said.is_whole else one_line(text)
        several = [clean] if said.is_whole or width is None else folded(clean, max(1, width - said.indent))
        found += [Line(f"{before}{each}".rstrip(), said.is_head) for each in several]
    return found
