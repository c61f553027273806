"""A copy of the working directory that a cluster's machines are brought, where they share no disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mythos_lab.search.spaces.space import Space

CARRIED = "carried"
"""The one folder in what is brought. Python is made to look for modules beside it, and finds nothing there."""

_OUTPUT = {"runs", "studies", "mlruns", "mlflow.db"}


@contextmanager
def packed(space: Space) -> Iterator[Path]:
    """A folder with the working directory's files while a ``with`` block runs.

    Left out are what runs write, hidden files, and links, which may lead to what nobody meant to send.

    Args:
        space: The search space, whose file comes along wherever it lies below the working directory.
    """
    here, source = Path.cwd(), Path(space.source).absolute()

    def left_out(folder: str, names: list[str]) -> set[str]:
        is_top = Path(folder) == here
        return {
            name
            for name in names
            if name.startswith(".")
            or name == "__pycache__"
            or (is_top and name in _OUTPUT)
            or (Path(folder) / name).is_symlink()
        }

    with tempfile.TemporaryDirectory(prefix="mythos-carried-") as folder:
        copy = Path(folder) / CARRIED
        shutil.copytree(here, copy, ignore=left_out, copy_function=_linked)
        if source.is_relative_to(here) and not (own := copy / source.relative_to(here)).exists():
            own.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, own)
        yield Path(folder)


def _linked(source: str, target: str) -> str:
    """Another name of a file, as it is only read; a copy where the places are on two disks."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return target
