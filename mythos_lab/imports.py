"""Whether modules that files name are imported: said once for a verb, and asked wherever one would be."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

ALLOWED = "MYTHOS_ALLOW_IMPORTS"
"""The variable that names modules, joined by commas, which a run's record may import though they have changed."""

OPTION = "--no-imports"

_withheld: ContextVar[bool] = ContextVar("withheld", default=False)
_said: set[str] = set()


@contextmanager
def imports_as_before() -> Iterator[None]:
    """What is said within it of imports, :func:`withhold_imports`, holds until its end."""
    token = _withheld.set(_withheld.get())
    try:
        yield
    finally:
        _withheld.reset(token)


def withhold_imports() -> None:
    """Have nothing imported that a recipe, a search space or a run's record names."""
    _withheld.set(True)


def are_withheld() -> bool:
    """Whether nothing is to be imported."""
    return _withheld.get()


def is_allowed(module: str) -> bool:
    """Whether the environment allows a module that is not the recorded one."""
    return module in os.environ.get(ALLOWED, "").split(",")


def say_imported(module: str) -> None:
    """Say on standard error, once for a process, which module a file has had imported, and from where."""
    if module not in _said:
        _said.add(module)
        place = getattr(sys.modules[module], "__file__", None) or "Python itself"
        shown = place if place.isprintable() else ascii(place)
        print(f"imports: {module} from {shown}", file=sys.stderr, flush=True)
