"""What libraries and the machine raise where a verb meets them, in one line."""

from __future__ import annotations

import errno
import re
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from mythos_lab.recipe.limits import too_large
from mythos_lab.recipe.urls import in_text

# Packages by the module of their errors, and what they are to who reads the line.
_SERVICES = {
    "mlflow": "tracking",
    "alembic": "tracking",
    "sqlalchemy": "database",
    "psycopg": "database",
    "psycopg2": "database",
    "pymysql": "database",
    "grpc": "storage",
    "requests": "service",
    "urllib3": "service",
    "filelock": "lock",
}
# Of what these say, another input would not be refused.
_LANGUAGES = {"hydra", "omegaconf", "yaml"}
_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE}
# How libraries say what the machine refused them, without its error's number.
_DISK = re.compile(r"No space left on device|disk is full|Disk quota exceeded|PytorchStreamWriter failed writing file")
_LONGEST = 300
_OURS = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, TypeError)


class Failure(NamedTuple):
    """A line, and the exit status: 2 where another command would do, 1 where a service or the machine failed."""

    line: str
    status: int


def failure(error: BaseException) -> Failure | None:
    """The line of an error that is none of ours; ``None`` where only a traceback says what is wrong.

    A pipe that its reader has closed is left to typer. What Python raises of wrong code is ours, whatever went before.
    """
    if isinstance(error, _OURS):
        return None
    if (said := too_large(error)) is not None:
        return Failure(f"memory: {said}", 2)
    if (language := type(error).__module__.split(".")[0]) in _LANGUAGES:
        return Failure(f"{language}: {_in_short(error)}", 2)
    for each in _chain(error):
        if isinstance(each, BrokenPipeError):
            return None
        if isinstance(each, OSError) and each.errno is not None and each.strerror:
            return _refused(each)
    for each in _chain(error):
        package = type(each).__module__.split(".")[0]
        if package in _SERVICES or isinstance(each, sqlite3.Error):
            return Failure(f"{_SERVICES.get(package, 'database')}: {_in_short(each)}", 1)
        if _DISK.search(str(each)):
            return Failure(f"disk: {_in_short(each)}", 1)
    return None


def _refused(error: OSError) -> Failure:
    places = [str(place) for place in (error.filename, error.filename2) if place is not None]
    where = f"{' -> '.join(places)}: " if places else ""
    return Failure(f"{where}{error.strerror}", 1 if error.errno in _MACHINE or not places else 2)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what is behind it, the first cause last."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _in_short(error: BaseException) -> str:
    said = " ".join(str(error).split()).partition(" (Background on")[0]
    return (in_text(said) or type(error).__name__)[:_LONGEST]
