"""Which stores a file may choose: those in its own folder. All others have to be named by who runs it as well."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.overrides import split
from mythos_lab.recipe.places import is_name, leads_into
from mythos_lab.recipe.urls import without_password

TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"
"""The variable that names MLflow's store where a recipe does not."""

_ENDINGS = (".db", ".sqlite", ".sqlite3", ".log", ".journal")
_SERVERS = ("databricks", "databricks-uc", "uc")  # which MLflow takes without slashes
_NO_PLAIN_PATH = frozenset("?%#\\\0")  # by which a URL would mean another place than it shows


def check_chosen(url: str | None, said: Iterable[str | None], folders: Sequence[Path], where: str, remedy: str) -> None:
    """Refuse a store that a file chooses outside of its own folder, where nobody else has named it.

    Args:
        url: The store, as the file has it; ``None`` chooses nothing.
        said: What the command line and the environment name; whose login it is does not matter.
        folders: The file's own, in which it may choose a name.
        where: The file and its field, for the message.
        remedy: How to name the store besides.

    Raises:
        RecipeError: It is a server, or a place elsewhere, or one of another kind than a store's.
    """
    if url is None or without_password(url) in {without_password(named) for named in said if named}:
        return
    path = local_path(url)
    is_file = not url.startswith("file:") and ":" in url
    if path is not None and any(_is_own(path, folder, is_file) for folder in folders):
        return
    reason = "a server" if path is None else f"no plain name of a store ({', '.join(_ENDINGS)}) below {folders[0]}"
    raise RecipeError(
        f"{where}: {without_password(url)} is {reason}, and a file alone does not choose such a place; {remedy} where "
        "you trust it"
    )


def local_path(url: str) -> Path | None:
    """The file or folder of a store on this machine; ``None`` for a server, or a URL that does not say it plainly."""
    if url in _SERVERS:
        return None
    scheme, found, rest = url.partition("://")
    if not found:
        scheme, found, rest = url.partition(":")
        scheme, rest = (scheme, rest) if found else ("file", url)
    if not _NO_PLAIN_PATH.isdisjoint(url) or not rest:
        return None
    kind = scheme.partition("+")[0]
    if kind == "sqlite":
        return Path(rest[1:]) if rest.startswith("/") and rest != "/" else None
    return Path(rest) if scheme in ("file", "journal") else None


def uris_in(overrides: Sequence[tuple[str, Any]]) -> list[str]:
    """The trackers that overrides name, by path and value."""
    found = [value for path, value in overrides if path == "tracking.uri"]
    found += [value.get("uri") for path, value in overrides if path == "tracking" and isinstance(value, Mapping)]
    return [uri for uri in found if isinstance(uri, str)]


def name_tracker(overrides: Sequence[str]) -> None:
    """Have this process and its children know the tracker that a command line names, for a file that repeats it."""
    for uri in uris_in(split(overrides)[1]):
        os.environ[TRACKING_VARIABLE] = uri


def check_tracker(uri: str | None, said: Sequence[str], folders: Sequence[Path], where: str | Path) -> None:
    """Refuse a tracker that a recipe chooses outside of its own folder; see :func:`check_chosen`."""
    named = [*said, os.environ.get(TRACKING_VARIABLE)]
    remedy = f"say tracking.uri=... or {TRACKING_VARIABLE}=... as well"
    check_chosen(uri, named, folders, f"{where}: tracking.uri", remedy)


def _is_own(path: Path, folder: Path, is_file: bool) -> bool:
    """Whether a place is one below the folder, of plain names, that nothing but a store would have."""
    place = path.absolute()
    try:
        below = place.relative_to(folder.absolute())
    except ValueError:
        return False
    if not below.parts or not all(map(is_name, below.parts)) or not leads_into(place, folder):
        return False
    return place.suffix in _ENDINGS if is_file else not place.suffix
