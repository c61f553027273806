"""What tests of the laboratory would make again and again is made once a session: fresh MLflow stores, of which the
migrations are run once and the file copied, our own recipes as Hydra composes them, and the standard library's text.
"""

import copy
import shutil
import sqlite3
from contextlib import suppress

import mlflow
import pytest
from mlflow.tracking import fluent

from mythos_lab.recipe import compose
from mythos_lab.recipe.files import data_dir
from mythos_lab.tasks.text import task as text
from mythos_lab.tasks.text.files import Files
from mythos_lab.tracking import store as tracking


@pytest.fixture(autouse=True, scope="session")
def our_recipes_are_composed_once():
    """Their files stay as they are, and composing takes most of the time in which a recipe is loaded."""
    ours, whole, composed = data_dir("recipes"), compose.with_defaults, {}

    def with_defaults(path, groups=()):
        if path.absolute().parent != ours:
            return whole(path, groups)
        key = path.name, *groups
        if key not in composed:
            composed[key] = whole(path, groups)
        return copy.deepcopy(composed[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compose, "with_defaults", with_defaults)
        yield


@pytest.fixture(autouse=True, scope="session")
def the_standard_library_is_read_once():
    """It stays as it is, and every recipe whose task is text reads it where it is loaded."""
    whole, read = text.gather, {}

    def gather(source, division, max_skipped, spool=None):
        if spool is not None or not (isinstance(source, Files) and source.leave_out):
            return whole(source, division, max_skipped, spool)
        key = source.place, division, max_skipped
        if key not in read:
            read[key] = whole(source, division, max_skipped), source.num_files
        corpus, source.num_files = read[key]
        return corpus

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "gather", gather)
        yield


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
