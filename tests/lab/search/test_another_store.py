"""A study that goes on with another MLflow store than it was begun with."""

import pytest
from mlflow import MlflowClient

from mythos_lab.recipe.errors import RecipeError
from mythos_lab.search.opening import enqueue_grid, open_study
from mythos_lab.search.parent_run import parent_run
from mythos_lab.search.unattended import take_part
from mythos_lab.search.worker import run_one
from mythos_lab.tracking.mlflow import Tracker
from tests.lab.search.tiny import go_on, write

TWO = {"space": {"seed": {"int": [0, 1]}}, "sampler": "grid", "trials": 2}


@pytest.fixture
def begun(here):
    """A study of two trials in a first store, of which the second was killed in the middle; and its run there."""
    space = write(here, **TWO)
    study = open_study(space)
    enqueue_grid(study, space, 2)
    parent_run(space, study).finish("KILLED")
    calls = iter([False] * 7 + [True] + [False] * 9)  # four steps of the first, three of the second
    while len(study.get_trials()) < 3:
        run_one(space, study, 2, lambda: next(calls))
    return space, study, study.user_attrs["mlflow_run"]


def use(monkeypatch, here, name):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{here}/{name}.db")


def children_of(run_id):
    client = MlflowClient()
    experiment = client.get_experiment_by_name("mythos").experiment_id
    return client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run_id}'")


def test_it_has_a_run_of_its_own_there_that_says_where_those_before_are(here, begun, monkeypatch, capsys):
    space, study, first = begun
    use(monkeypatch, here, "another")
    stranger = Tracker(None, None, "tiny", tags={"mythos.study": "tiny"}, key="study-of-somebody-else")
    capsys.readouterr()
    parent_run(space, study, may_move=True)
    second = study.user_attrs["mlflow_run"]
    assert second not in (first, stranger.run_id), "of the same name, and another study"
    (line,) = capsys.readouterr().err.splitlines()
    assert f"goes on in sqlite:///{here}/another.db; what ran before stays under the run {first} of sqlite:" in line
    go_on(space, study)
    (child,) = children_of(second)
    values = {trial.value for trial in study.get_trials() if trial.user_attrs["outcome"] == "complete"}
    assert child.data.metrics["val/accuracy"] in values and child.info.status == "FINISHED"
    steps = sorted(each.step for each in MlflowClient().get_metric_history(child.info.run_id, "train/loss"))
    assert steps == sorted(set(steps)) and steps[0] == 0, "with what it logged in the first store, once"
    assert not children_of(stranger.run_id)
    note = MlflowClient().get_run(second).data.tags["mlflow.note.content"]
    assert f"under the run `{first}`" in note and "mlflow.db" in note
    use(monkeypatch, here, "mlflow")
    parent_run(space, study, may_move=True)
    assert study.user_attrs["mlflow_run"] == first, "back where it was, it finds its own"
    assert [each["run"] for each in study.user_attrs["mlflow_before"]] == [second]


def test_a_run_of_the_storages_choice_is_not_joined(here, begun, monkeypatch):
    space, study, _ = begun
    strangers = Tracker(None, None, "tiny", key="study-of-somebody-else").run_id
    study.set_user_attr("mlflow_run", strangers)
    assert parent_run(space, study, may_move=True).run_id != strangers


def test_it_stays_while_trials_run_and_a_worker_alone_moves_nothing(here, begun, monkeypatch):
    space, study, first = begun
    study.ask()
    use(monkeypatch, here, "another")
    with pytest.raises(RecipeError, match=f"run {first} is not in sqlite:.*another.db, and 1 of its trials is running"):
        parent_run(space, study, may_move=True)
    with pytest.raises(RecipeError, match="another.db; MLFLOW_TRACKING_URI has to name the store"):
        take_part(space, 0)
    assert study.user_attrs["mlflow_run"] == first
