"""Samplers and pruners read what a store holds, which anybody may have put there: nothing is unpickled meanwhile.

Those that are offered by name keep plain values there. One by import path may not, and is stopped where it would begin
to look for the program that a pickle names.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

from mythos_lab.recipe.errors import Misplaced

_reading: ContextVar[bool] = ContextVar("reading", default=False)


@contextmanager
def nothing_unpickled() -> Iterator[None]:
    """Within it, a pickle that names a class or a function is refused.

    Raises:
        Misplaced: There was one; nothing that it names has been looked up.
    """
    _listen()
    token = _reading.set(True)
    try:
        yield
    finally:
        _reading.reset(token)


@cache
def _listen() -> None:
    sys.addaudithook(_heard)  # once: Python has no way to take one back


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "pickle.find_class" and _reading.get():
        name = ".".join(map(str, arguments))[:80]
        raise Misplaced(
            f"storage: a sampler or a pruner would unpickle {name}, which whoever writes there could have run"
        )
