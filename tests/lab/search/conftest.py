"""Every test of the search works in a folder of its own, on no storage and no MLflow but those that lie in it."""

import optuna
import pytest


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MYTHOS_STORAGE", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return tmp_path
