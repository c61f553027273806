"""Where a verb's result goes: to people, or to a program as one JSON document."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Annotated

import typer

from mythos_lab.cli.app import one_line_errors

if TYPE_CHECKING:
    from mythos_lab.report.report import Report

Json = Annotated[
    bool, typer.Option("--json", help="Print the result as one JSON document; all else goes to standard error.")
]


@contextmanager
def telling(as_json: bool) -> Iterator[Callable[[Report], None]]:
    """Within it, a function that takes reports as they come; and what is made of a recipe is made once.

    As JSON they are one document, written at the end if the verb got there; whatever prints meanwhile, progress bars
    and libraries included, writes to standard error.
    """
    _say_at_once()
    from mythos_lab.recipe.assembled import assembled_once
    from mythos_lab.recipe.screen import say
    from mythos_lab.report.report import Report
    from mythos_lab.report.terminal import as_json as document_of
    from mythos_lab.report.terminal import show

    if not as_json:
        with assembled_once():
            yield show
        return
    whole = Report()
    # The guard of all verbs stands outside, where what it says would be on standard output.
    with redirect_stdout(sys.stderr), one_line_errors(), assembled_once():
        yield lambda report: whole.know(report.facts)
    if whole.facts:
        say(document_of(whole))


def never_refuse_characters() -> None:
    """Have standard output and error write what their encoding has not as ``?``, here and in processes started here."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    told = os.environ.get("PYTHONIOENCODING", "")
    if ":" not in told:
        os.environ["PYTHONIOENCODING"] = f"{told}:replace"


def _say_at_once() -> None:
    """Tell whoever sits at a terminal that something happens: torch and what a verb needs take seconds to import."""
    if sys.stderr.isatty():
        print("loading ...", file=sys.stderr, flush=True)
