"""Tests of the laboratory open many fresh MLflow stores: the migrations of one are run once, and the file copied."""

import sqlite3
from contextlib import suppress

import pytest

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
        yield
