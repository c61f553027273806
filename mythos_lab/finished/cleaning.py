"""What may be removed without losing a result: checkpoints of runs that have ended, torn files, caches long unused."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from mythos_lab.finished.listing import below
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.places import leads_into
from mythos_lab.report.report import Report
from mythos_lab.report.table import Table, name, number, prose
from mythos_lab.tasks.text.cache import META, PART, cache_root
from mythos_lab.tracking.claim import InUse, claimed
from mythos_lab.training.result import CHECKPOINT, LOCK, RESULT, WEIGHTS, read_result

_DAY_SECONDS = 86_400
_TORN_SECONDS = 3_600.0  # a file that is being written is younger than that
_PARTIAL = ".*.partial"
AT_WORK = "a process is at work there"


@dataclass(frozen=True)
class Removable:
    """One file or folder.

    Attributes:
        path: Where it lies.
        size: Bytes.
        why: Why nothing is lost with it, or what is.
        within: The folder that it must not lead out of.
        lock: What whoever uses it holds; ``None`` where nobody does.
    """

    path: Path
    size: int
    why: str
    within: Path
    lock: Path | None = None


def removable(places: Sequence[Path], unused_days: float) -> list[Removable]:
    """What may be removed of the runs below folders, and of the cache of tokens.

    Args:
        places: The folders.
        unused_days: Days for which a cache has not been used.

    Raises:
        RecipeError: One is no folder.
    """
    if gone := [place for place in places if not place.is_dir()]:
        raise RecipeError(f"{gone[0]}: there is no such folder")
    found = [each for place in places for folder in below(place) for each in _of_run(folder)]
    return [*found, *_of_cache(unused_days)]


def weights_of(run: Path, why: str) -> Removable | None:
    """The weights of a run that has ended; ``None`` where there are none."""
    path = run / WEIGHTS
    ended = (run / RESULT).is_file() and _is_plain(path)
    return Removable(path, path.stat().st_size, why, run, run / LOCK) if ended else None


def remove(found: Removable) -> str:
    """Remove it, if nobody uses it, and nothing that a link leads to.

    Returns:
        Why it was left; empty where it is gone.
    """
    path = found.path
    if path.is_symlink() or not leads_into(path, found.within):
        return "a link"
    try:
        with _held(found.lock):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    except (InUse, Timeout):
        return AT_WORK
    except FileNotFoundError:
        return "gone already"
    except OSError as error:
        return str(error.strerror)
    return ""


def cleaning_report(found: Sequence[Removable], left: Sequence[str], *, removed: bool) -> Report:
    """What there is to remove, or what became of it.

    Args:
        found: All of it.
        left: Of each why it was left; empty where it was removed.
        removed: Whether it was to be removed.
    """
    report = Report()
    columns = (number("mebibytes", "MiB", ",.1f"), prose("what", importance=0), name("path"))
    rows = [
        [each.size / 2**20, f"left: {why}" if why else each.why, str(each.path)]
        for each, why in zip(found, left, strict=True)
    ]
    if rows:
        report.show("removable", Table(columns, rows))
    else:
        report.know({"removable": []})
    gone = sum(each.size for each, why in zip(found, left, strict=True) if not why) / 2**20
    if not found:
        said = "nothing is safe to remove"
    elif removed:
        said = f"{sum(not why for why in left)} of {len(left)} removed, {gone:,.1f} MiB"
    else:
        said = f"{gone:,.1f} MiB; nothing has been removed: --yes does it"
    if not removed and any(each.path.name == CHECKPOINT for each in found):
        report.say("a run without its checkpoint is whole, but no other run can go on where it ended")
    report.say(said, {"removed": removed, "mebibytes": gone})
    return report


def _of_run(folder: Path) -> Iterator[Removable]:
    lock, checkpoint = folder / LOCK, folder / CHECKPOINT
    for torn in folder.glob(_PARTIAL):
        if _is_plain(torn) and _age(torn) > _TORN_SECONDS:
            yield Removable(torn, torn.stat().st_size, "left by a process that was killed", folder, lock)
    if _is_plain(checkpoint) and (folder / RESULT).is_file():
        try:
            status = read_result(folder)["status"]
        except RecipeError:
            return  # whoever looks after it may need all that is there
        why = f"checkpoint ({status})"
        yield Removable(checkpoint, checkpoint.stat().st_size, why, folder, lock)


def _of_cache(unused_days: float) -> Iterator[Removable]:
    root = cache_root()
    if not root.is_dir():
        return
    for entry in sorted(root.iterdir()):
        if entry.is_symlink() or not entry.is_dir():
            continue
        lock = root / f"{entry.name.partition('.')[0].partition('-')[0]}.lock"
        if entry.suffix == PART:
            yield Removable(entry, _size(entry), "tokens that a killed process did not finish", root, lock)
            continue
        meta = entry / META
        if meta.is_file() and (days := _age(meta) / _DAY_SECONDS) > unused_days:
            yield Removable(entry, _size(entry), f"tokens unused for {days:.0f} days; they are made again", root, lock)


def _held(lock: Path | None) -> AbstractContextManager[object]:
    if lock is None:
        return nullcontext()
    return claimed(lock) if lock.name == LOCK else FileLock(lock, timeout=0)


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _age(path: Path) -> float:
    return time.time() - path.lstat().st_mtime


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.lstat().st_size
    return total
