"""What reads the text at a path."""

from __future__ import annotations

from typing import Literal

from mythos_lab.tasks.text.corpus import Source
from mythos_lab.tasks.text.files import Files, locate
from mythos_lab.tasks.text.formats import Format
from mythos_lab.tasks.text.saved import Saved, is_saved, splits_of

SUFFIXES = [".txt", ".md", ".rst", ".py"]
"""Files of a folder that count as text unless told otherwise."""


def at_path(
    path: str | None,
    suffixes: list[str] = SUFFIXES,
    text_field: str = "text",
    format: Format | Literal["auto"] = "auto",
    field: str = "path",
) -> Source:
    """A file, a folder of files, or a data set that was saved; ``None`` is the standard library's source.

    Raises:
        ValueError: There is nothing at the path, or it is said to hold something else than a data set that it holds.
    """
    if path is None:
        return Files(None, (".py",), text_field, format, field)
    place = locate(path, field)
    if splits := splits_of(place, field):
        named = ", ".join(str(place / name) for name in splits)
        raise ValueError(f"{field}: {path!r} is a dictionary of data sets; name one of them: {named}")
    if not is_saved(place):
        return Files(path, tuple(suffixes), text_field, format, field)
    if suffixes != SUFFIXES or format != "auto":
        said = "format" if format != "auto" else "suffixes"
        raise ValueError(f"{said}: {path!r} is a data set that was saved, whose files say themselves what they hold")
    return Saved(place, text_field, field)
