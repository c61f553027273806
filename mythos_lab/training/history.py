"""What a run logged, a JSON object a line, beside what its tracker has: it needs no server to be read."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mythos_lab.recipe.errors import Misplaced
from mythos_lab.recipe.outputs import open_log
from mythos_lab.recipe.reading import read_at_most

HISTORY = "history.jsonl"
"""The file of a run's folder; ``result.json`` has its hash."""

Entry = tuple[int, float, Mapping[str, float]]
"""A step, seconds since the epoch, and metrics."""

STEP, TIME = "step", "time"
"""What an entry has beside metrics."""

_MAX_BYTES = 1 << 30


class History:
    """Appends to the history of a run, which may go on: what stands there already is not written again.

    A run that goes on sends again what its checkpoint has as not yet sent, with the time that it bears.

    Args:
        path: The file; it may hold the history so far, of which a kill has perhaps cut the last line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written: set[tuple[int, float]] = set()
        if path.is_file():
            content = _content(path)
            whole = content[: content.rfind(b"\n") + 1]
            if len(whole) < len(content):
                with open_log(path) as file:
                    file.truncate(len(whole))
            self._written = {_place(_entry(path, line)) for line in whole.splitlines()}

    def read(self) -> list[dict[str, float]]:
        """What stands there, as :func:`read_history` has it; nothing where nothing was logged."""
        return read_history(self._path) if self._path.is_file() else []

    def add(self, entries: Sequence[Entry]) -> None:
        """Write what is not there yet; a number that is none is ``null``, as JSON has no other."""
        if lines := [_line(*entry) for entry in entries if entry[:2] not in self._written]:
            with open_log(self._path) as file:
                file.write("".join(lines).encode())


def read_history(path: Path, sha256: str | None = None) -> list[dict[str, float]]:
    """The entries of a history, a mapping each: ``step``, ``time`` and metrics by name; ``null`` is ``nan``.

    Args:
        path: The file.
        sha256: The hash that it is to have; ``None`` reads what is there.

    Raises:
        Misplaced: It is not as it was written, or holds something else.
    """
    content = _content(path)
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise Misplaced(f"{path}: is not as it was written: its checksum is another; bring it back from a copy")
    return [_entry(path, line) for line in content.splitlines()]


def digest_of(path: Path) -> str | None:
    """The hash of a history; ``None`` where a run has logged nothing."""
    return hashlib.sha256(_content(path)).hexdigest() if path.is_file() else None


def _line(step: int, at: float, metrics: Mapping[str, float]) -> str:
    values = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
    return json.dumps({STEP: step, TIME: at, **values}, allow_nan=False) + "\n"


def _entry(path: Path, line: bytes) -> dict[str, float]:
    try:
        found: Any = json.loads(line)
        values = {str(name): math.nan if value is None else _number(value) for name, value in found.items()}
        return {**values, STEP: int(values[STEP]), TIME: values[TIME]}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Misplaced(f"{path}: a line is no entry of a history: {line[:80].decode(errors='replace')!r}") from None


def _place(entry: Mapping[str, float]) -> tuple[int, float]:
    return int(entry[STEP]), entry[TIME]


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(value)
    return value


def _content(path: Path) -> bytes:
    return read_at_most(path, _MAX_BYTES, "history of a run")
