"""Names, and the places that a file or a store speaks of: each stays below the folder that it was found in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from mythos_lab.recipe.errors import Misplaced, RecipeError, shortened

NAME = r"[\w+-][\w.+-]*"
"""The form of every name that may become one of a file: no separator, and no dot in front."""

_LONGEST = 100
_EXPECTED = f"expected letters, digits, and any of _ . + -, no dot in front, at most {_LONGEST}"
_NAME = re.compile(NAME)

Name = Annotated[str, Field(min_length=1, max_length=_LONGEST, pattern=f"^{NAME}$")]
"""The name of a study, a run or an arm."""


def is_name(text: object) -> bool:
    """Whether something has the form of a name."""
    return isinstance(text, str) and len(text) <= _LONGEST and _NAME.fullmatch(text) is not None


def check_name(text: str, what: str) -> str:
    """The text, where it is a name.

    Args:
        text: As it was written.
        what: What it names, for the message.

    Raises:
        RecipeError: It has another form.
    """
    if not is_name(text):
        raise RecipeError(f"{what}: {shortened(ascii(text))} is no name; {_EXPECTED}")
    return text


def inside(folder: Path, said: Any, by: str) -> Path:
    """The place below a folder that something speaks of which is not to choose another.

    Args:
        folder: The folder.
        said: What was read: names, joined by ``/``.
        by: Who says so, for the message.

    Raises:
        Misplaced: It is no path of names, or a link on its way leads out of the folder.
    """
    if not isinstance(said, str) or not all(map(is_name, said.split("/"))):
        raise Misplaced(f"{by}: {shortened(ascii(said))} is no place below {folder}; expected names joined by /")
    place = folder / said
    if not leads_into(place, folder):
        raise Misplaced(f"{by}: {place} leads out of {folder} by a link; take the link away")
    return place


def leads_into(place: Path, folder: Path) -> bool:
    """Whether a place lies below a folder, or is it, after all links have been followed."""
    try:
        return place.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # links in a circle, or a name that no file system takes
        return False


def check_own_folder(folder: Path, mark: str) -> None:
    """Refuse a folder that is a link to one which holds something else than what is to be written there.

    Args:
        folder: Where files will be made; it need not exist.
        mark: The file that says that it is ours.

    Raises:
        Misplaced: It is such a link.
    """
    if folder.is_symlink() and not (folder / mark).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise Misplaced(f"{folder}: is a link, and what it leads to is not ours; take the link away")
