"""Tests of the laboratory open many fresh MLflow stores: the migrations of one are run once, and the file copied."""

import shutil
import sqlite3
from contextlib import suppress

import mlflow
import pytest
from mlflow.tracking import fluent

from mythos_lab.tracking import mlflow as tracking


@pytest.fixture(autouse=True, scope="session")
def stores_are_copied(tmp_path_factory):
    migrated = tmp_path_factory.mktemp("store") / "mlflow.db"
    tracking.prepare(f"sqlite:///{migrated}", "Default")
    turn = tracking._turn

    def copied(uri):
        path = tracking.file_of(uri)
        if path is not None and path.parent.is_dir() and not path.exists():
            # Where no file can be made, what opens the store is to say so.
            with suppress(sqlite3.Error), sqlite3.connect(migrated) as source, sqlite3.connect(path) as fresh:
                source.backup(fresh)
        return turn(uri)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracking, "_turn", copied)
        yield migrated


@pytest.fixture
def a_store(stores_are_copied, tmp_path):
    """A store where processes that a test starts in its folder look for one: they would migrate each their own."""
    shutil.copy(stores_are_copied, tmp_path / "mlflow.db")


@pytest.fixture(autouse=True)
def fluent_as_it_was(monkeypatch):
    """Forget what a test told MLflow's fluent interface: it is kept by the process, and in variables."""
    logins = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
    for name in ("MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID", *logins):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(fluent, "_active_experiment_id", None)
    yield
    mlflow.set_tracking_uri(None)
