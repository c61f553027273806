"""Which store ``mythos ui`` shows, and whether it can."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from mythos_lab.children import environment, python_module
from mythos_lab.recipe.documents import read_document
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.urls import without_password
from mythos_lab.tracking.saved_view import VIEW, is_known, view_tags
from mythos_lab.tracking.store import check_store, opened, place_of
from mythos_lab.tracking.surroundings import DEFAULT

HOST = "127.0.0.1"
"""Where the server listens: it asks nobody who they are."""

# Variables that would have it listen elsewhere, answer to other names, or be another server.
_DOORS = {
    "MLFLOW_HOST",
    "MLFLOW_PORT",
    "MLFLOW_WORKERS",
    "MLFLOW_GUNICORN_OPTS",
    "MLFLOW_UVICORN_OPTS",
    "MLFLOW_STATIC_PREFIX",
    "MLFLOW_SERVER_ALLOWED_HOSTS",
    "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS",
    "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE",
    "MLFLOW_SERVER_X_FRAME_OPTIONS",
}

_LATEST = 50  # runs of the working directory that are asked for their store, and of the store for their metrics


def server(store: str | None, port: int) -> tuple[list[str], dict[str, str]]:
    """The command of MLflow's server and its environment, which has the store, whose URL may hold a password.

    It listens on this machine alone, whatever MLflow's and uvicorn's own variables say, and imports nothing from the
    working directory.

    Args:
        store: MLflow's tracking URI; ``None`` is the default one.
        port: Port on this machine.

    Raises:
        RecipeError: The store is a server itself, does not exist or cannot be opened, or the port is taken.
    """
    uri = place_of(store)
    shown = without_password(uri)
    if uri.partition("://")[0] in ("http", "https", "databricks"):
        raise RecipeError(f"{shown}: is a server of its own; open it in a browser")
    path = _file_of(uri)
    if path is not None and not path.exists():
        raise RecipeError(f"{shown}: nothing has been tracked there{_elsewhere(uri)}")
    check_store(uri)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise RecipeError(f"--port {port}: {error.strerror}; choose another") from None
    options = ["--host", HOST, "--port", str(port), "--workers", "1", "--uvicorn-opts", f"--app-dir={os.devnull}"]
    said = environment({"MLFLOW_BACKEND_STORE_URI": uri})
    said.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # usage statistics
    said.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")  # eight more processes that nothing here uses
    kept = {name: value for name, value in said.items() if name not in _DOORS and not name.startswith("UVICORN_")}
    return python_module("mlflow", "server", *options), kept


def runs_page(store: str | None, port: int) -> str:
    """The address of the page that lists the runs, in our view, which the experiment is given where it lacks it.

    It is the plain list where the installed MLflow is not one whose page reads the view, and MLflow's own first page
    where nothing was tracked under our name.

    Args:
        store: MLflow's tracking URI; ``None`` is the default one.
        port: Port on this machine.
    """
    address = f"http://{HOST}:{port}"
    client = opened(store)
    found = client.get_experiment_by_name(os.environ.get("MLFLOW_EXPERIMENT_NAME") or DEFAULT)
    if found is None:
        return address
    latest = client.search_runs([found.experiment_id], max_results=_LATEST)
    for key, value in view_tags(found.tags, {name for run in latest for name in run.data.metrics}).items():
        client.set_experiment_tag(found.experiment_id, key, value)
    shown = f"&viewStateShareKey={VIEW}" if is_known() else ""
    return f"{address}/#/experiments/{found.experiment_id}/runs?workflowType=machine_learning{shown}"


def charts_page(page: str) -> str | None:
    """The same page, on the charts of our view; ``None`` where it shows none."""
    return f"{page}&compareRunsMode=CHART" if page.endswith(f"={VIEW}") else None


def _file_of(uri: str) -> Path | None:
    """The file or folder that a local store lies in."""
    scheme, found, rest = uri.partition("://")
    if not found:
        return Path(uri)
    if scheme == "sqlite":
        return Path(rest.removeprefix("/").partition("?")[0])
    return Path(rest) if scheme == "file" else None


def _elsewhere(uri: str) -> str:
    """What to do, where runs of this directory were tracked elsewhere."""
    found = sorted(Path("runs").glob("*/recipe.yaml"), key=lambda path: path.stat().st_mtime, reverse=True)[:_LATEST]
    stores = dict.fromkeys(str(store) for path in found if (store := _store_in(path)) and store != uri)
    if stores:
        said = " or ".join(f"mythos ui --store {without_password(store)}" for store in stores)
        return f"; recipes that were run here track elsewhere: {said}"
    variable = "" if "MLFLOW_TRACKING_URI" in os.environ else ", set MLFLOW_TRACKING_URI"
    return f"; train something here{variable}, or name the store with --store"


def _store_in(path: Path) -> Any:
    try:
        content = read_document(path)
        return content["tracking"]["uri"]
    except (ValueError, TypeError, KeyError):
        return None
