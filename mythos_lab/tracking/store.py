"""Stores that MLflow logs to: which is meant, and how one is opened."""

from __future__ import annotations

import logging
import os
import re
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import alembic.util
import sqlalchemy.exc
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mythos_lab.recipe.errors import Misplaced, Unreachable
from mythos_lab.recipe.outputs import open_own
from mythos_lab.recipe.urls import completed, without_password
from mythos_lab.tracking.artifacts import BESIDE, beside, file_of, follow
from mythos_lab.tracking.ours import check_ours
from mythos_lab.tracking.saved_view import view_tags
from mythos_lab.tracking.surroundings import context_tags, enclosing_run, experiment_name

_VARIABLE = "MLFLOW_TRACKING_URI"
_SERVER = re.compile(r"(?P<scheme>https?://)(?P<login>[^/?#]*)@(?P<rest>[^@]*)")
_SERVERS = ("http", "postgresql", "mysql", "mssql", "databricks")


def default_uri() -> str:
    """MLFLOW_TRACKING_URI, or SQLite in the working directory, as MLflow itself does."""
    if named := os.environ.get(_VARIABLE):
        return named
    path = str(Path.cwd() / "mlflow.db")
    # A question mark begins the options of a URL, and MLflow decodes per cent signs once too often: such places have to
    # go unnamed.
    return "sqlite:///mlflow.db" if "?" in path or "%" in path else f"sqlite:///{path}"


def place_of(uri: str | None) -> str:
    """The URI that is opened: with what it names of the environment, and the login that ``MLFLOW_TRACKING_URI`` has.

    A server's login goes where MLflow's client looks for one besides, so that no error of it tells the URL with it.
    """
    place = completed(uri or default_uri(), _VARIABLE)
    found = _SERVER.match(place)
    if found is None:
        return place
    name, _, password = found["login"].partition(":")
    os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(name), unquote(password)
    return f"{found['scheme']}{found['rest']}"


def prepare(uri: str | None, experiment: str | None) -> tuple[MlflowClient, str]:
    """A client, and the id of the experiment, which is made where it is missing.

    Opening a fresh SQLite store runs its migrations, and processes that do so at once fail; so they take turns.

    Args:
        uri: MLflow's tracking URI; ``None`` takes the default.
        experiment: Its name; ``None`` takes what MLflow's variables name.

    Raises:
        Misplaced: The store cannot be opened, or has not answered for as long as MLflow itself tries again; or has not
            what MLflow's variables name.
    """
    place = place_of(uri)
    client, experiment, found = connect(place, experiment)
    if found is not None:
        return client, str(found.experiment_id)
    try:
        tags = view_tags({})
        if (location := beside(place, experiment)) is None:
            return client, str(client.create_experiment(experiment, tags=tags))
        return client, str(client.create_experiment(experiment, location, {**tags, BESIDE: "yes"}))
    except MlflowException:  # another process was faster
        found = client.get_experiment_by_name(experiment)
        assert found is not None
        return client, str(found.experiment_id)


def check_store(uri: str) -> None:
    """Open a store and close it.

    Raises:
        Misplaced: It cannot be opened.
    """
    connect(place_of(uri), "Default")


def opened(uri: str | None) -> MlflowClient:
    """A client of a store that is there; ``None`` is the default one.

    Raises:
        Misplaced: It is not there, or cannot be opened.
    """
    place = place_of(uri)
    if (path := file_of(place)) is not None and not path.exists():
        raise Misplaced(f"tracking: {without_password(place)}: there is no such store")
    return connect(place, "Default")[0]


def connect(place: str, experiment: str | None) -> tuple[MlflowClient, str, Any]:
    """A client, the name of the experiment, and the experiment of that name or ``None``.

    Raises:
        Misplaced: The store cannot be opened; or has not what MLflow's variables name.
    """
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)  # it tells of every migration, and of every try with a traceback
    try:
        with _turn(place):
            check_ours(place)
            client = MlflowClient(place)
            enclosing_run(client, place)
            context_tags()
            experiment = experiment or experiment_name(client, place)
            found = client.get_experiment_by_name(experiment)
            if found is not None and follow(place, found):
                found = client.get_experiment_by_name(experiment)
            return client, experiment, found
    except (MlflowException, OSError, ImportError, sqlalchemy.exc.SQLAlchemyError, alembic.util.CommandError) as error:
        said = " ".join(str(error).replace(place, without_password(place)).split()).partition(" (Background on")[0]
        kind = Unreachable if place.startswith(_SERVERS) and not isinstance(error, ImportError) else Misplaced
        raise kind(f"tracking: {without_password(place)}: {said[:200]}") from error
    finally:
        logging.disable(before)


def _turn(uri: str) -> AbstractContextManager[object]:
    """A lock beside the file of a SQLite store; other stores are servers, which see to it themselves."""
    path = file_of(uri)
    if path is None:
        return nullcontext()
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = Path(f"{path}.lock")
    os.close(open_own(lock, os.O_WRONLY))  # which is refused where it is a link
    return FileLock(lock)
