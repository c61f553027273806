"""Files are read within bounds: plain ones, of no more bytes than what they are to hold ever needs."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from mythos_lab.recipe.errors import RecipeError


def read_at_most(path: Path, most: int, what: str) -> bytes:
    """The content of a file.

    Args:
        path: The file.
        most: Bytes that it may have.
        what: What needs no more, for the message.

    Raises:
        RecipeError: It has more, or is no plain file: a pipe would be waited for, and a device has no end.
        OSError: It cannot be opened.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise RecipeError(f"{path}: cannot be read: it is no plain file")
        content = file.read(most + 1)
    if len(content) > most:
        raise RecipeError(f"{path}: larger than {most:,} bytes, which no {what} needs")
    return content
