"""`mythos ui`: the page of the runs, without usage statistics, of a store that is there."""

import pytest
from mlflow import MlflowClient

from mythos_lab.recipe import RecipeError
from mythos_lab.tracking.viewing import runs_page, server


def test_it_opens_on_the_runs_and_sends_no_usage_statistics(tmp_path):
    store = f"sqlite:///{tmp_path}/mlflow.db"
    client = MlflowClient(store)
    assert runs_page(store, 5001) == "http://127.0.0.1:5001", "nothing has been tracked under our name"
    number = client.create_experiment("mythos")
    assert runs_page(store, 5001) == (
        f"http://127.0.0.1:5001/#/experiments/{number}/runs?workflowType=machine_learning"
    )
    assert server(store, 5999)[1]["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_where_nothing_was_tracked_it_says_so_and_makes_no_store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(RecipeError, match="nothing has been tracked there"):
        server(None, 5999)
    assert not list(tmp_path.iterdir())
