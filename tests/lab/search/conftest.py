"""Every test of the search works in a folder of its own, on no storage and no MLflow but those that lie in it."""

import optuna
import pytest


def quiet(folder, monkeypatch):
    """Work in a folder, and keep everything there."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MYTHOS_STORAGE", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    quiet(tmp_path, monkeypatch)
    return tmp_path
