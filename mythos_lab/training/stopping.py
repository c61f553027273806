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


class BrokenOff(BaseException):
    """Raised where a signal arrives in what is :func:`breakable`; nothing that catches errors is to catch it."""


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
    """Break off what is :func:`breakable`, now or as soon as it begins. For handlers of signals."""
    _State.asked = True
    if _State.num_open:
        raise BrokenOff


def is_asked() -> bool:
    """Whether a signal asked for what is :func:`breakable` to be broken off; nothing else is to take long then."""
    return _State.asked


@contextmanager
def breakable() -> Iterator[None]:
    """Work that a signal may break off anywhere, as it can be done again and leaves nothing half written.

    Raises:
        BrokenOff: A signal asked for it, maybe before it began.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _State.num_open += 1
    try:
        if _State.asked:
            raise BrokenOff
        yield
    finally:
        _State.num_open -= 1


@contextmanager
def interruptible(folder: Path, step: int | None = None) -> Iterator[None]:
    """What is :func:`breakable`, and the run ends with it.

    Args:
        folder: The run that it is for.
        step: Steps done, which a checkpoint covers; ``None`` before the first.

    Raises:
        Stopped: A signal asked for it.
    """
    try:
        with breakable():
            yield
    except BrokenOff:
        raise Stopped(folder, step) from None
