"""A folder that one process at a time works in."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mythos_lab.recipe.errors import Misplaced
from mythos_lab.recipe.outputs import open_own
from mythos_lab.tracking.process import described, identity, is_alive

_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)
_DEAD_SECONDS = 10.0  # in which the children of a process that was killed let go of what it held
_POLL_SECONDS = 0.1


class InUse(Misplaced):
    """Another process works there."""


@contextmanager
def claimed(path: Path, patience: float = 0.0) -> Iterator[None]:
    """Have what a lock file stands for to oneself while a ``with`` block runs.

    The lock is the kernel's, which lets go of it when its holder ends, however that comes about. The file says who that
    is. On a file system without locks it is all that there is: one whose process is gone from this machine is taken
    over.

    Args:
        path: The lock file; it is gone afterwards.
        patience: Seconds to wait for another holder.

    Raises:
        InUse: There is one.
        Misplaced: The lock file is a link.
    """
    handle = _acquire(path, patience)
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, identity().encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)  # before it is let go of: who waits notices that it waits for a file that is gone
        os.close(handle)


def _acquire(path: Path, patience: float) -> int:
    begun = time.monotonic()
    while True:
        handle = open_own(path, os.O_RDWR)
        if _is_locked(handle) and _is_at(path, handle):
            return handle
        owner = os.pread(handle, 1000, 0).decode(errors="replace")
        os.close(handle)
        is_dead = bool(owner) and is_alive(owner) is False
        if time.monotonic() - begun >= max(patience, _DEAD_SECONDS if is_dead or not owner else 0.0):
            who = described(owner) if owner else "another process"
            raise InUse(f"{path.parent}: {who} is at work there; wait for it, or end it") from None
        time.sleep(_POLL_SECONDS)


def _is_locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            return False
        owner = os.pread(handle, 1000, 0).decode(errors="replace")
        return not owner or is_alive(owner) is False
    return True


def _is_at(path: Path, handle: int) -> bool:
    """Whether the file that was opened is the one that stands there, and not one that its holder has removed since."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    opened = os.fstat(handle)
    return (there.st_dev, there.st_ino) == (opened.st_dev, opened.st_ino)
