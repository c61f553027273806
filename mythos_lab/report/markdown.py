"""Texts of others in a page of Markdown: as they read, without becoming headings, links, pictures, HTML or formulas."""

from __future__ import annotations

import re

from mythos_lab.recipe.screen import one_line
from mythos_lab.recipe.urls import in_text as without_logins

_ACTIVE = re.compile(r"[\\`*\[\]|~$>]|(?<![^\W_])_|_(?![^\W_])|(?<=:)/(?=/)|(?<=www)\.", re.IGNORECASE)
_AT_START = re.compile(r"^(?:([#+=-])|(\d+)([.)]))")


def in_text(text: str) -> str:
    """One line of prose, of which every character is shown."""
    line = one_line(without_logins(text)).replace("&", "&amp;").replace("<", "&lt;")
    line = _ACTIVE.sub(r"\\\g<0>", line)
    return _AT_START.sub(lambda found: f"\\{found[1]}" if found[1] else f"{found[2]}\\{found[3]}", line)


def in_cell(text: str) -> str:
    """The same in a table, where nothing begins a block."""
    return _ACTIVE.sub(r"\\\g<0>", one_line(without_logins(text)).replace("&", "&amp;").replace("<", "&lt;"))


def as_code(text: str) -> str:
    """A code span of one line, whatever backticks there are in it."""
    line = one_line(without_logins(text))
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{space}{line}{space}{fence}"
