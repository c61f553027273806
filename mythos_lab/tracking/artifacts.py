"""Where MLflow keeps the artifacts of a store that is a file: beside it, wherever that is moved."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, urlparse
from urllib.request import url2pathname

from mlflow.entities import Experiment

BESIDE = "mythos.artifacts_beside_store"
"""The tag of experiments whose artifacts lie there."""


def file_of(uri: str) -> Path | None:
    """The file of a SQLite store."""
    scheme, _, rest = uri.partition(":///")
    path = rest.partition("?")[0]
    return Path(path).absolute() if scheme.partition("+")[0] == "sqlite" and path else None


def beside(uri: str, experiment: str) -> str | None:
    """Where the artifacts of an experiment lie whose store is a file: beside it, so that they are moved together.

    It is a URI, since MLflow decodes per cent signs in plain paths too.
    """
    path = file_of(uri)
    return None if path is None else (path.parent / "mlruns" / quote(experiment, safe=" ")).as_uri()


def follow(uri: str, experiment: Experiment) -> bool:
    """Have artifacts lie beside the store again after it was moved, or copied; whether it was.

    MLflow keeps the whole path of an experiment's artifacts and of every run's. It would make the old place anew, or
    fail where it cannot.
    """
    path, was = file_of(uri), str(experiment.artifact_location)
    location = beside(uri, experiment.name) if BESIDE in experiment.tags else _moved(path, was)
    if path is None or location is None or location == was:
        return False
    with closing(sqlite3.connect(path, timeout=60)) as database, database:
        key = (int(experiment.experiment_id),)
        database.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (location, *key))
        database.execute(
            "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) "
            "WHERE experiment_id = ? AND substr(artifact_uri, 1, ?) = ?",
            (location, len(was) + 1, *key, len(was), was),
        )
    return True


def _moved(store: Path | None, location: str) -> str | None:
    """Where artifacts lie whose place MLflow chose itself, if they are beside the store and no longer there."""
    place = Path(url2pathname(urlparse(location).path)) if location.startswith("file:") else Path(location)
    if store is None or "://" in location.removeprefix("file://") or place.exists() or place.parent.name != "mlruns":
        return None
    here = store.parent / "mlruns" / place.name
    return here.as_uri() if here.is_dir() else None
