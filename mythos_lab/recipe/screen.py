"""What a terminal and a log get to see: texts, and nothing that they would obey.

Names, keys, reasons and errors come from files, stores and servers. Whatever is printed goes through here, so that an
escape sequence in one of them is shown and not followed.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
import warnings
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import IO, Any

from mythos_lab.recipe.urls import in_text


def escaped(text: str, keep: str = "") -> str:
    """The text with what cannot be printed as Python would write it, and all space but ``keep`` as a space.

    Control characters are not printed, and neither are those that turn the direction of what follows or take no room.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else " " if c.isspace() else ascii(c)[1:-1] for c in text)


def one_line(text: str) -> str:
    """The text on one line, without runs of spaces."""
    return " ".join(escaped(text).split())


def say(text: object, *, file: IO[str] | None = None, end: str = "\n") -> None:
    """Print a text with its own line breaks and tabs, at once, and every URL in it as it may be shown.

    Args:
        text: What is said.
        file: Where to; standard output without.
        end: What follows it.
    """
    print(escaped(in_text(str(text)), "\n\t"), file=file or sys.stdout, end=end, flush=True)


def since(began: float, num_done: int, num_left: int) -> str:
    """The time that some things took, and that others like them will take.

    Args:
        began: When they were begun, by ``time.monotonic``.
        num_done: How many are done since.
        num_left: How many are left.
    """
    seconds = time.monotonic() - began
    left = f", {timedelta(seconds=round(seconds / num_done * num_left))} left" if num_done and num_left else ""
    return f"{timedelta(seconds=round(seconds))}{left}"


def guard_errors() -> None:
    """Have tracebacks, warnings and what libraries log go the same way, from now on and in the whole process."""
    sys.excepthook = _show
    warnings.formatwarning = _warning
    logging.setLogRecordFactory(_record)


def _record(*args: Any, **kwargs: Any) -> logging.LogRecord:
    record = logging.LogRecord(*args, **kwargs)
    with suppress(TypeError, ValueError, KeyError):  # a message that does not fit its arguments
        record.msg, record.args = escaped(record.getMessage(), "\n\t"), ()
    return record


def _warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    return escaped(f"{filename}:{lineno}: {category.__name__}: {message}") + "\n"


def _show(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    say("".join(traceback.format_exception(kind, error, at)), file=sys.stderr, end="")
