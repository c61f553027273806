"""Which store ``mythos ui`` shows, and whether it can."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from mythos_lab.recipe.documents import read_document
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.urls import without_password
from mythos_lab.tracking.mlflow import check_store, default_uri

_LATEST = 50  # runs of the working directory that are asked for their store


def server_arguments(store: str | None, port: int) -> list[str]:
    """The arguments of MLflow's server.

    Args:
        store: MLflow's tracking URI; ``None`` is the default one.
        port: Port on this machine.

    Raises:
        RecipeError: The store is a server itself, does not exist or cannot be opened, or the port is taken.
    """
    uri = store or default_uri()
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
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise RecipeError(f"--port {port}: {error.strerror}; choose another") from None
    return ["--backend-store-uri", uri, "--port", str(port), "--workers", "1"]


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
