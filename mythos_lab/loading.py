"""How a command's process loads: what it imports stays, so that looking through it for garbage is in vain."""

from __future__ import annotations

import gc

_SELDOM = (200_000, 20, 20)
_before: list[tuple[int, int, int]] = []


def begin_loading() -> None:
    """Have Python look for garbage seldom: torch and what else a verb imports are a million objects that stay.

    As often as usual, it takes a fifth of the CPU time until training begins (``benchmarks/startup.py``).
    """
    if not _before:
        _before.append(gc.get_threshold())
        gc.set_threshold(*_SELDOM)


def end_loading() -> None:
    """Look for garbage as before, and no more among what has been loaded; nothing where no command is loading."""
    if _before:
        gc.freeze()
        gc.set_threshold(*_before.pop())
