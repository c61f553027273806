"""Signals that ask a process to stop: who hears them, and where the work may be broken off at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mythos_lab.training.stop_reasons import Stopped

Handler = Callable[[int], None] | signal.Handlers
"""Called with a signal's number; or one of the handlers that the system has."""


class _Break(BaseException):
    """Raised where a signal arrives; nothing that catches errors is to catch it."""


class _State:
    num_open, asked = 0, False  # of the main thread, which alone hears signals


@contextmanager
def heeding(handlers: Mapping[int, Handler]) -> Iterator[Callable[[], dict[int, Any]]]:
    """Heed signals while a ``with`` block runs, and what heeded them before afterwards.

    Args:
        handlers: By signal.

    Yields:
        What gives the signals back to whoever heeded them before, ahead of time; returns those handlers by signal.
    """
    before: dict[int, Any] = {}

    def give_back() -> dict[int, Any]:
        for number, handler in before.items():
            signal.signal(number, handler)
        return before

    def heed(number: int, frame: object) -> None:
        handler = handlers[number]
        assert callable(handler)
        handler(number)

    _State.asked = False
    for number, handler in handlers.items():
        before[number] = signal.signal(number, handler if isinstance(handler, signal.Handlers) else heed)
    try:
        yield give_back
    finally:
        give_back()
        _State.asked = False


def break_off() -> None:
    """Break off what is :func:`interruptible`, now or as soon as it begins. For handlers of signals."""
    _State.asked = True
    if _State.num_open:
        raise _Break


@contextmanager
def interruptible(folder: Path, step: int | None = None) -> Iterator[None]:
    """Work that a signal may break off anywhere, as it can be done again and leaves nothing half written.

    Args:
        folder: The run that it is for.
        step: Steps done, which a checkpoint covers; ``None`` before the first.

    Raises:
        Stopped: A signal asked for it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    try:
        _State.num_open += 1
        try:
            if _State.asked:
                raise _Break
            yield
        finally:
            _State.num_open -= 1
    except _Break:
        raise Stopped(folder, step) from None
