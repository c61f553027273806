"""Every test of the search works in a folder of its own, on no storage and no MLflow but those that lie in it."""

import optuna
import pytest

from mythos_lab.recipe.compose import validate
from mythos_lab.search import trial as trials


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


@pytest.fixture
def untrained(monkeypatch):
    """Candidates come to one value each, untrained."""
    ended = {"status": "finished", "reason": "", "metrics": [{"val/accuracy": 0.5}]}
    monkeypatch.setattr(trials, "admit", lambda space, config, source, arm: (validate(config, source), {}))
    monkeypatch.setattr(trials, "cost_metric", lambda recipe, name: 1.0)
    monkeypatch.setattr(trials, "_train", lambda *arguments: ended)
