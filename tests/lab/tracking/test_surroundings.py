"""MLflow's variables and its fluent interface say where a run stands, unless the recipe does."""

import mlflow
import pytest
from mlflow import MlflowClient

from mythos_lab.recipe.errors import RecipeError
from mythos_lab.tracking.mlflow import Tracker
from mythos_lab.tracking.store import prepare


@pytest.fixture
def store(tmp_path, monkeypatch):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    mlflow.set_tracking_uri(uri)
    return MlflowClient(uri)


def experiment(written=None):
    client, number = prepare(None, written)
    return client.get_experiment(number).name


def parent_of(client, **fields):
    tracker = Tracker(None, None, "run", **fields)
    return client.get_run(tracker.run_id).data.tags.get("mlflow.parentRunId")


def test_an_experiment_is_the_recipes_or_the_variables_or_ours(store, monkeypatch):
    assert experiment() == "mythos"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    assert experiment() == "mine" and experiment("written") == "written"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", store.get_experiment_by_name("mine").experiment_id)
    assert experiment() == "mine"
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME")
    assert experiment() == "mine"


def test_set_experiment_is_heeded(store):
    mlflow.set_experiment("fluent")
    assert experiment() == "fluent"


@pytest.mark.parametrize(
    "variables, said",
    [
        ({"MLFLOW_EXPERIMENT_ID": "77"}, "MLFLOW_EXPERIMENT_ID=77: sqlite.* has no such experiment"),
        ({"MLFLOW_EXPERIMENT_ID": "0", "MLFLOW_EXPERIMENT_NAME": "mine"}, "MLFLOW_EXPERIMENT_ID=0 is 'Default'; unset one"),
        ({"MLFLOW_RUN_CONTEXT": "{'team': 'vision'}"}, "MLFLOW_RUN_CONTEXT is no JSON object; expected tags"),
        ({"MLFLOW_RUN_CONTEXT": '["team"]'}, "MLFLOW_RUN_CONTEXT is no JSON object; expected tags"),
        ({"MLFLOW_RUN_ID": "c0ffee"}, "MLFLOW_RUN_ID=c0ffee: sqlite.* has no such run; unset it"),
    ],
)  # fmt: skip
def test_what_the_store_has_not_is_said_in_one_line(store, monkeypatch, variables, said):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RecipeError, match=said) as refused:
        prepare(None, None)
    assert len(refused.value.lines) == 1


def test_a_run_is_nested_under_the_one_that_surrounds_it(store, monkeypatch):
    assert parent_of(store) is None
    with mlflow.start_run() as outer:
        assert parent_of(store) == outer.info.run_id
        assert parent_of(store, parent="given") == "given"
    assert parent_of(store) is None
    monkeypatch.setenv("MLFLOW_RUN_ID", outer.info.run_id)
    assert parent_of(store) == outer.info.run_id


def test_the_context_gives_tags_that_ours_stand_over(store, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_CONTEXT", '{"team": "vision", "cards": 8, "mythos.trial": "theirs"}')
    tracker = Tracker(None, None, "run", tags={"mythos.trial": "0001"})
    tags = store.get_run(tracker.run_id).data.tags
    assert (tags["team"], tags["cards"], tags["mythos.trial"]) == ("vision", "8", "0001")
    with mlflow.start_run() as theirs:
        assert store.get_run(theirs.info.run_id).data.tags["cards"] == "8"
