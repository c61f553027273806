"""Whether a tracker is one, and whether artifacts stay where whoever runs this has put it."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlparse

import sqlalchemy

from mythos_lab.recipe.errors import Misplaced
from mythos_lab.recipe.owned import Schema, check_database, check_server
from mythos_lab.recipe.places import leads_into
from mythos_lab.recipe.stores import TRACKING_VARIABLE, local_path
from mythos_lab.recipe.urls import without_password
from mythos_lab.tracking.artifacts import file_of

ARTIFACTS_VARIABLE = "MLFLOW_DEFAULT_ARTIFACT_ROOT"
"""MLflow's variable for the place of artifacts, which names one that the store alone may not choose."""

_DATABASES = ("postgresql", "mysql", "mssql")
_SCHEMA = Schema(
    "store of MLflow",
    core={
        "experiments": ("experiment_id", "name", "artifact_location"),
        "runs": ("run_uuid", "artifact_uri", "experiment_id"),
    },
    first="experiments",
    known=(),
)


def check_ours(uri: str) -> None:
    """Refuse a store on this machine that another program made.

    Raises:
        Misplaced: It is another program's, or the working directory's link to somewhere else.
    """
    path = file_of(uri)
    if uri.startswith(_DATABASES):
        engine = sqlalchemy.create_engine(uri)
        try:
            check_server(engine, _SCHEMA)
        finally:
            engine.dispose()
        return
    if path is not None:
        if path.as_posix().startswith("file:") or "/file:" in path.as_posix():
            raise Misplaced(f"{without_password(uri)}: SQLite's own URIs are not read; expected sqlite:///path")
        if path.is_symlink() and not os.environ.get(TRACKING_VARIABLE) and not leads_into(path, path.parent):
            raise Misplaced(f"{path}: is a link to another folder; name the store by {TRACKING_VARIABLE}")
        check_database(path, _SCHEMA)
        return
    folder = local_path(uri) if not uri.startswith("sqlite") else None
    if folder is None or not folder.exists():
        return
    if not folder.is_dir():
        raise Misplaced(f"{folder}: is no folder, and so no store of MLflow; name another")
    if any(folder.iterdir()) and not (folder / ".trash").is_dir() and not any(folder.glob("*/meta.yaml")):
        raise Misplaced(f"{folder}: holds other files, and no store of MLflow; name another folder")


def clear_artifact(place: str, name: str) -> None:
    """Take away a link that stands where MLflow will copy a file to: it would copy to what the link leads to.

    Args:
        place: Where the run's artifacts go.
        name: The artifact's, with its folder.

    Raises:
        Misplaced: A folder on the way is a link out of that place.
    """
    where = urlparse(place)
    if where.scheme not in ("", "file"):
        return
    root = Path(unquote(where.path))
    path = root / name
    if not leads_into(path.parent, root):
        raise Misplaced(f"{path.parent}: leads out of {root} by a link; take the link away")
    if path.is_symlink():
        path.unlink()


def check_artifacts(store: str, place: str) -> None:
    """Refuse to write a run's files where the store's rows say, if that is not beside the store or on its server.

    Args:
        store: The tracking URI.
        place: Where the store says that a run's artifacts go.

    Raises:
        Misplaced: It is elsewhere, and the environment does not name it.
    """
    root = os.environ.get(ARTIFACTS_VARIABLE, "").rstrip("/")
    if root and (place == root or place.startswith(f"{root}/")):
        return
    where, there, file = urlparse(place), urlparse(store), file_of(store)
    if where.scheme in ("", "file"):
        path = Path(unquote(where.path))
        own = file.parent if file is not None else local_path(store)
        folders = [Path("mlruns"), *([] if own is None else [own])]  # MLflow's own choice, and beside the store
        # MLflow decodes what it takes for a path once more.
        stays = ".." not in (*path.parts, *Path(unquote(str(path))).parts)
        is_ours = stays and any(leads_into(path, folder) for folder in folders)
    else:
        is_elsewhere = where.scheme in ("http", "https", "mlflow-artifacts") and where.netloc not in ("", there.netloc)
        is_ours = there.scheme not in ("", "file", "sqlite") and not is_elsewhere
    if not is_ours:
        raise Misplaced(
            f"tracking: {without_password(store)} has the artifacts of its runs at {without_password(place)}, which is "
            f"elsewhere; set {ARTIFACTS_VARIABLE} to that place where you trust it"
        )
