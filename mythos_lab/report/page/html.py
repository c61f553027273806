"""The page as one HTML file: nothing in it is a program, and nothing is fetched.

The policy lets in the one style sheet, by its hash, and nothing else: no script, no picture, no font, no request,
whatever a name or a description from a stranger's folder holds. All texts are escaped by the template.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from mythos_lab.recipe.screen import one_line
from mythos_lab.recipe.urls import in_text
from mythos_lab.report.page.drawing import Drawn
from mythos_lab.report.page.inline import inline
from mythos_lab.report.page.page import Commands, Figure, Finding, Page, Part, Tabled
from mythos_lab.report.page.palette import variables
from mythos_lab.report.table import Table

MOST_ROWS = 200
"""Rows of a table that the page shows; its CSV has all."""

_LONGEST = 2000  # characters of one text
_HERE = Path(__file__).parent


def as_html(page: Page, drawn: Mapping[str, tuple[Drawn, Drawn]]) -> str:
    """The page.

    Args:
        page: What stands on it.
        drawn: Each figure by its key, wide and narrow; a small one is the same twice.
    """
    style = _style()
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.jinja").render(
        page=page,
        policy=f"default-src 'none'; style-src '{_hash(style)}'; base-uri 'none'; form-action 'none'",
        style=Markup(style),
        kind_of=lambda part: _KINDS.get(type(part), "sentence"),
        pictures={figure.key: _pictures(figure, *drawn[figure.key]) for figure in page.figures},
        rows_of=_rows,
        num_hidden=lambda table: max(0, len(table.rows) - MOST_ROWS),
        grouped=_grouped,
    )


_KINDS: dict[type, str] = {Figure: "figure", Tabled: "table", Finding: "finding", Commands: "commands"}


def _pictures(figure: Figure, wide: Drawn, narrow: Drawn) -> Markup:
    if figure.is_small:
        return inline(narrow.svg, figure.key, figure.caption, "chart")
    label = figure.caption
    return inline(wide.svg, figure.key, label, "chart wide") + inline(
        narrow.svg, f"{figure.key}-n", label, "chart narrow"
    )


def _rows(table: Table) -> list[list[str]]:
    return table.texts()[:MOST_ROWS]


@dataclass
class _Group:
    """Parts that stand together.

    Attributes:
        layout: ``beside`` for texts with one small figure beside them, ``pairs`` for small figures in two columns.
        text: Texts, tables and wide figures.
        figures: Small figures.
    """

    layout: str
    text: list[Part]
    figures: list[Figure]


def _grouped(parts: Sequence[Part]) -> list[_Group]:
    """Parts in their order: what a measure says and its one small figure side by side, several of them in pairs."""
    groups: list[_Group] = []
    for part in parts:
        is_small = isinstance(part, Figure) and part.is_small
        last = groups[-1] if groups else None
        if isinstance(part, Figure) and is_small:
            if last is not None and last.figures:
                last.figures.append(part)
            elif last is not None and isinstance(last.text[-1], Finding):
                groups.append(_Group("beside", [last.text.pop()], [part]))
            else:
                groups.append(_Group("pairs", [], [part]))
        elif isinstance(part, Tabled) and part.is_folded and last is not None and last.layout == "beside":
            last.text.append(part)
        elif last is None or last.layout:
            groups.append(_Group("", [part], []))
        else:
            last.text.append(part)
    return [each for group in groups for each in _apart(group)]


def _apart(group: _Group) -> list[_Group]:
    """A group of several small figures, whose texts stand above and below them."""
    if group.layout != "beside" or len(group.figures) == 1:
        return [group]
    first, *rest = group.text
    return [_Group("", [first], []), _Group("pairs", [], group.figures), _Group("", rest, [])]


def _style() -> str:
    text = (_HERE / "page.css").read_text(encoding="utf-8")
    dark = f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {variables(True)} }} }}"
    return f"\n:root {{ {variables(False)} }}\n{dark}\n{text}"


def _hash(style: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}"


def _shown(value: Any) -> Any:
    """A text as it may be seen: on one line, without logins and without characters that nobody sees."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    text = one_line(in_text(value))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
