"""A file that appears whole, in its place, and never where a link leads to."""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Within it, an empty file of another name to write to; when it ends, that has become the file of this path.

    It is on the disk then, whatever happens to the machine. Whatever stood there is replaced, a link as well: what it
    led to stays as it was. If the block raises, nothing has happened.
    """
    partial = path.with_name(f".{uuid.uuid4().hex[:16]}.partial")
    made = os.open(partial, _NEW, 0o666)
    mode = stat.S_IMODE(os.fstat(made).st_mode)
    os.close(made)
    try:
        yield partial
        partial.chmod(mode)  # safetensors makes the file anew, for nobody but its owner to read
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the disk know of files that were moved in a folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
