"""Optuna's gRPC proxy: one process talks to the database, and any number of workers to that process."""

from __future__ import annotations

import socket
import warnings
from pathlib import Path

import optuna
from optuna.storages import run_grpc_proxy_server

from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.screen import say
from mythos_lab.recipe.urls import without_password
from mythos_lab.search.storage import open_storage


def serve(url: str, host: str, port: int) -> None:
    """Serve a database until the process is ended.

    Args:
        url: Of a database; see :func:`~mythos_lab.search.storage.open_storage`.
        host: Where to listen. Whoever reaches it may read and write: the proxy asks nobody who it is.
        port: Port on this machine.

    Raises:
        RecipeError: The database does not answer, the port is taken, or the URL names no database.
    """
    if url.partition("://")[0] in ("journal", "grpc"):
        raise RecipeError(
            f"--storage {without_password(url)}: Optuna's proxy needs a database; expected sqlite:///path, "
            "postgresql+psycopg:// or mysql+pymysql://"
        )
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    _check_free(host, port)
    storage = open_storage(url, Path())
    say(f"proxy of {without_password(url)} on grpc://{host}:{port} (Ctrl-C ends it)")
    try:
        run_grpc_proxy_server(storage, host=host, port=port)
    except ModuleNotFoundError as error:
        raise RecipeError(f"proxy: {error.name} is not installed; pip install 'mythos-lab[grpc]'") from None


def _check_free(host: str, port: int) -> None:
    """A second server on a port would be given every other call, as gRPC binds its ports."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise RecipeError(f"--host {host} --port {port}: {error.strerror or error}") from None
