"""How processes are started from here: none of them runs what lies in the working directory.

``python -m`` and scripts put a folder before all of Python's own places, so that a file there that has the name of a
module is run in its stead. Every process of ours is started by what stands here, and its own children inherit it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

SAFE_PATH = "PYTHONSAFEPATH"
"""The variable that keeps Python from putting a folder before its own places."""


def python_module(name: str, *arguments: str) -> list[str]:
    """The command that runs a module in this Python, looking neither for it nor for its imports where it is started."""
    return [sys.executable, "-P", "-m", name, *arguments]


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a process that is started here, and of those that it starts.

    Args:
        more: Variables that it gets besides.
    """
    said = {**os.environ, **(more or {}), SAFE_PATH: "1"}
    # An empty part, as of PYTHONPATH=/mine:$PYTHONPATH, is the working directory.
    if parts := [part for part in said.pop("PYTHONPATH", "").split(os.pathsep) if part]:
        said["PYTHONPATH"] = os.pathsep.join(parts)
    return said


def search_path() -> str:
    """``PYTHONPATH`` of a process that is to import what this one can, except because of where this one stands."""
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join(part for part in sys.path if part and (part in named or not _is_here(part)))


def _is_here(part: str) -> bool:
    try:
        return Path(part).resolve() == Path.cwd()
    except OSError:
        return False
