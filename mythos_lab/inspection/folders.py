"""What lies in a folder: a run, a study, and what neither of them has."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from mythos_lab.inspection.finding import Findings
from mythos_lab.recipe.places import leads_into

_MOST = 20_000  # entries that are looked at
_CODE = (".py", ".pth", ".so", ".pyc", ".sh", ".pkl", ".pickle", ".pt", ".bin")


def tell_folder(found: Findings, folder: Path) -> list[Path]:
    """Add what a folder holds; returns the files in it and in the folders below, without what links lead to."""
    files: list[Path] = []
    for number, (path, mode, num_names) in enumerate(_entries(folder)):
        if number >= _MOST:
            found.tell("beware", f"more than {_MOST:,} entries; the others were not looked at")
            break
        shown = str(path.relative_to(folder))
        if stat.S_ISLNK(mode):
            where = "inside of it" if leads_into(path, folder) else "out of it"
            found.tell("beware", f"{shown} is a link to {os.readlink(path)}, which leads {where}")
        elif stat.S_ISDIR(mode):
            if path.name == ".git":
                found.tell("beware", f"{shown}: settings of a repository, in which git may be told to run programs")
        elif not stat.S_ISREG(mode):
            found.tell("beware", f"{shown} is a pipe, a socket or a device")
        else:
            files.append(path)
            if path.suffix in _CODE or mode & 0o111:
                found.tell("beware", f"{shown} is, or may be, a program")
            elif num_names > 1:
                found.tell("beware", f"{shown} is one file with another, of another name")
    return files


def _entries(folder: Path) -> Iterator[tuple[Path, int, int]]:
    """Every entry below a folder with its mode and number of names; links are not followed."""
    for where, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted([*folders, *names]):
            path = Path(where, name)
            seen = path.lstat()
            yield path, seen.st_mode, seen.st_nlink
