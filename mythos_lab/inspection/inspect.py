"""``mythos inspect``: a stranger's file or folder, looked at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mythos_lab.inspection.documents import tell_document
from mythos_lab.inspection.finding import Findings
from mythos_lab.inspection.folders import tell_folder
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.places import is_name
from mythos_lab.recipe.reading import read_at_most

_MAX_JSON, _MAX_JOURNAL, _MAX_HEADER = 2**24, 2**28, 2**24  # bytes
_RUN, _STUDY, _ENVIRONMENT = "run.json", "study.json", "environment.json"
_NAMED = {
    ".ckpt": "a checkpoint, of which weights alone are read",
    ".db": "a database",
    ".sqlite": "a database",
    ".log": "a log",
    ".png": "a figure",
    ".md": "a page",
}


def inspect(place: Path) -> Findings:
    """What a file or a folder is, and what running it would import, read, write and reach.

    YAML, JSON, journals and the headers of weights are read, within bounds; nothing is written, imported or contacted.

    Raises:
        RecipeError: There is nothing at the place.
    """
    found = Findings(str(place))
    if place.is_dir():
        files = tell_folder(found, place)
        names = {path.name for path in files if path.parent == place}
        if _RUN in names:
            found.tell("is", "the folder of a run; mythos train --resume goes on with it, mythos depth reads it")
        elif _STUDY in names or "journal.log" in names:
            found.tell("is", "the folder of a study; mythos study goes on with it")
        elif not files:
            found.tell("is", "a folder without files")
        for path in files:
            _tell_file(found, path)
    elif place.is_file():
        _tell_file(found, place)
    elif place.exists():
        found.tell("beware", "a pipe, a socket or a device, which is not read")
    else:
        raise RecipeError(f"{place}: no such file or folder")
    return found


def _tell_file(found: Findings, path: Path) -> None:
    try:
        if path.suffix in (".yaml", ".yml"):
            tell_document(found, path)
        elif path.suffix == ".safetensors":
            _tell_weights(found, path)
        elif path.suffix == ".log" and path.name.startswith("journal"):
            _tell_journal(found, path)
        elif path.name == _ENVIRONMENT:
            code = json.loads(read_at_most(path, _MAX_JSON, "file of a run's folder")).get("code", {})
            for module, digest in code.items():
                found.tell("imports", f"{module}, with the source of hash {digest}")
        elif path.suffix in _NAMED:
            found.tell("is", f"{path.name}: {_NAMED[path.suffix]}")
    except (RecipeError, OSError, ValueError, RecursionError, AttributeError, LookupError, TypeError) as error:
        said = " ".join(str(error).split())[:300] or type(error).__name__
        found.tell("beware", f"{path.name} cannot be read: {said}")


def _tell_weights(found: Findings, path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(_MAX_HEADER, size):
            raise ValueError(f"its header would be {length:,} bytes")
        header: dict[str, Any] = json.loads(file.read(length))
    declared = json.loads(header.get("__metadata__", {}).get("mythos_blocks", "null"))
    of = "with a declaration" if isinstance(declared, dict) else "without a declaration"
    num = len(header) - ("__metadata__" in header)
    found.tell("is", f"{path.name}: weights, {num:,} tensors, {size:,} bytes, {of}")


def _tell_journal(found: Findings, path: Path) -> None:
    lines = read_at_most(path, _MAX_JOURNAL, "journal that is inspected").splitlines()
    found.tell("is", f"{path.name}: a study's journal, {len(lines):,} lines")
    for line in lines:
        log = json.loads(line)
        if "study_name" in log:
            found.tell("is", f"{path.name}: study {log['study_name']!r}")
        folder = (log.get("user_attr") or {}).get("folder")
        if folder is not None and not all(map(is_name, str(folder).split("/"))):
            found.tell("beware", f"{path.name}: a trial's folder is {folder!r}, and is refused")
