"""MythosLab: declare a looped transformer, train it, search around it, and measure what its loops are worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mythos_lab.finished.run import Run as Run
    from mythos_lab.finished.run import load as load

_LAZY = {"Run", "load"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mythos_lab.finished import run  # which brings torch

    return getattr(run, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
