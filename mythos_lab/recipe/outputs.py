"""Where output goes: a new file, moved to its place once it is whole, and never what a link there leads to.

A folder may have come from somebody else, with a link under the name of a file that we are about to write. What is
moved into place replaces the link; what has to be opened where it stands, logs and locks, is no link or is not opened.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path
from typing import BinaryIO

from mythos_blocks.checkpoints.outputs import sync_folder as sync_folder
from mythos_blocks.checkpoints.outputs import whole as whole
from mythos_lab.recipe.errors import Misplaced, RecipeError

_OWN = os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file beside and move it: a kill or a full disk leaves what was there before, or all of the new one.

    It is on the disk when this returns, whatever happens to the machine.
    """
    with whole(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def open_log(path: Path, *, anew: bool = False) -> BinaryIO:
    """A log, to be written on at its end; made where there is none.

    Args:
        path: The file.
        anew: Leave out what is there.

    Raises:
        Misplaced: There is something else than a plain file of one name.
    """
    return open(open_own(path, os.O_WRONLY | os.O_APPEND | (os.O_TRUNC if anew else 0)), "ab")  # noqa: SIM115


def open_own(path: Path, flags: int) -> int:
    """The descriptor of a file that has to be written where it stands; made where there is none.

    Args:
        path: The file.
        flags: Of ``os.open``.

    Raises:
        Misplaced: There is something else than a plain file of one name: what is written to it would land elsewhere.
    """
    try:
        handle = os.open(path, (flags & ~os.O_TRUNC) | _OWN, 0o644)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise _no_file(path) from None
        raise
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(handle)
        raise _no_file(path)
    if flags & os.O_TRUNC:
        os.ftruncate(handle, 0)
    return handle


def clear(path: Path) -> None:
    """Take away what stands at a path that a library is about to write to, if it is a file or a link to anything."""
    path.unlink(missing_ok=True)


def check_writable(folder: Path, what: Path | None = None) -> None:
    """Refuse a place where nothing can be written, before what takes long is begun.

    Args:
        folder: Where files will be made; it need not exist yet.
        what: What the message names; the folder without.

    Raises:
        RecipeError: Says why.
    """
    place = next((each for each in (folder, *folder.absolute().parents) if os.path.lexists(each)), folder)
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise RecipeError(f"{what or folder}: cannot write to {place}: {error.strerror}") from None


def _no_file(path: Path) -> Misplaced:
    return Misplaced(
        f"{path}: is a link, or no plain file, so that what is written to it would land elsewhere; take it away"
    )
