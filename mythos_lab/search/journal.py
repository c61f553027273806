"""A study's journal on disk: Optuna's, which goes on after a line of it was cut."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.storages.journal._file import get_lock_file

from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.outputs import write_whole
from mythos_lab.recipe.owned import check_plain
from mythos_lab.recipe.screen import say
from mythos_lab.search.chain import chained, check_chain

_MAX_BYTES = 2**32  # of a journal; a trial is some twenty thousand
_MAX_LINE = 2**24
_CHUNK = 2**20


class Journal(JournalFileBackend):
    """A journal whose last line may have been cut, by a full disk or a loss of power.

    What was cut off is named, kept beside the journal, and the study goes on without it: it was written by somebody
    who never learned that it was, so that whatever it said is done again.

    Args:
        path: The file; made where there is none.

    Raises:
        Misplaced: A line does not follow from those before it.
    """

    def __init__(self, path: Path) -> None:
        lock = JournalFileSymlinkLock(str(path))
        # The lock is a link. One to a name leads to the journal wherever the folder stands; one to a place that the
        # folder has been moved from leads nowhere, and Optuna would wait for its holder for ever.
        lock._lock_target_file = path.name
        link = Path(lock._lock_file)
        if link.is_symlink() and not link.exists():
            link.unlink(missing_ok=True)
        super().__init__(str(path), lock)
        self._path, self._is_held = path, False
        if _num_torn(path):
            with get_lock_file(lock):  # or it may be a line that somebody is writing
                self._mend()
        check_chain(path)

    def __str__(self) -> str:
        return str(self._path)

    def size(self) -> int:
        """Its bytes on the disk."""
        return self._path.stat().st_size

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        lines = [json.dumps(log, separators=(",", ":")).encode() for log in logs]
        with nullcontext() if self._is_held else get_lock_file(self._lock):
            self._mend()
            size = self.size()
            try:
                with self._path.open("ab") as file:
                    file.write(chained(lines, self._path))
                    file.flush()
                    os.fsync(file.fileno())
            except OSError:
                os.truncate(self._path, size)  # half of a line would spoil the next one
                raise

    @contextmanager
    def alone(self) -> Iterator[None]:
        """A span in which nobody else writes; within, its storage's calls, which come one at a time, do."""
        with get_lock_file(self._lock):
            self._is_held = True
            try:
                yield
            finally:
                self._is_held = False

    def _mend(self) -> None:
        if not (num_torn := _num_torn(self._path)):
            return
        whole = self._path.stat().st_size - num_torn
        aside = self._path.with_name(f"{self._path.name}.torn-{time.strftime('%Y%m%d-%H%M%S')}")
        with self._path.open("rb") as file:
            file.seek(whole)
            write_whole(aside, file.read())
        os.truncate(self._path, whole)
        say(
            f"{self._path}: its end was cut, by a full disk or a loss of power; the last {num_torn} bytes are kept in "
            f"{aside.name}, and the study goes on without them",
            file=sys.stderr,
        )


def check_journal(path: Path) -> None:
    """Refuse a file that is no journal, or one that no study comes to; nothing of it is kept in memory.

    Raises:
        RecipeError: Says what it is.
    """
    if not check_plain(path, "journal"):
        return
    size = path.stat().st_size
    if size > _MAX_BYTES:
        raise RecipeError(f"{path}: is {size:,} bytes, and a journal at most {_MAX_BYTES:,}")
    with path.open("rb") as file:
        if not _begins_journal(file.readline(_MAX_LINE)):
            raise RecipeError(f"{path}: is no journal of a study, and nothing is written to it; name another file")
        file.seek(0)
        length = 0
        while chunk := file.read(_CHUNK):
            first, *others = chunk.split(b"\n")
            lengths = [length + len(first), *map(len, others)]
            length = lengths[-1]
            if max(lengths) > _MAX_LINE:
                raise RecipeError(f"{path}: has a line of more than {_MAX_LINE:,} bytes, which no study writes")


def _begins_journal(line: bytes) -> bool:
    try:
        log = json.loads(line)
    except RecursionError:
        return False
    except ValueError:  # cut
        return line.startswith(b'{"op_code":') and not line.endswith(b"\n")
    return isinstance(log, dict) and isinstance(log.get("op_code"), int) and isinstance(log.get("worker_id"), str)


def _num_torn(path: Path) -> int:
    """Bytes at the end that are no whole line of a journal."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        start, tail = size, b""
        while start and tail.count(b"\n") < 2:
            start = max(0, start - 4096)
            file.seek(start)
            tail = file.read(size - start)
    lines = tail.splitlines(keepends=True)
    if not lines or _is_whole(lines[-1]):
        return 0
    return len(lines[-1])


def _is_whole(line: bytes) -> bool:
    if not line.endswith(b"\n"):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
