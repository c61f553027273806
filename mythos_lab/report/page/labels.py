"""Texts of others as labels of a figure."""

from __future__ import annotations

from mythos_lab.recipe.screen import one_line
from mythos_lab.recipe.urls import in_text

LABEL, TITLE = 30, 70
"""Characters of a label, and of what stands at an axis; the table has the whole."""


def label(text: str, longest: int = LABEL) -> str:
    """A label of one line, without logins and without what a screen or a reader of SVG would obey."""
    said = one_line(in_text(text))
    return said if len(said) <= longest else f"{said[: longest - 3]}..."
