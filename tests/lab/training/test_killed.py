"""A run that is killed between two steps that belong together: the next one finds what is there, and repeats nothing."""

import json

import pytest
from mlflow import MlflowClient

from mythos_lab.recipe import load_recipe
from mythos_lab.tracking.mlflow import Tracker
from mythos_lab.training import run as running
from mythos_lab.training.lead import Lead
from mythos_lab.training.run import run
from tests.lab.training.runs import SMALL, assert_same

FEW = [
    *SMALL,
    "training.max_steps=4",
    "training.validate_every=2",
    "evaluation.knockouts=false",
]


class Kill(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


def strike(monkeypatch, owner, name, after=False, only=lambda *arguments: True):
    whole = getattr(owner, name)

    def struck(*arguments, **keywords):
        if not only(*arguments):
            return whole(*arguments, **keywords)
        monkeypatch.setattr(owner, name, whole)
        if after:
            whole(*arguments, **keywords)
        raise Kill

    monkeypatch.setattr(owner, name, struck)


POINTS = {
    "after MLflow made the run": (MlflowClient, "create_run", True),
    "before the folder knows of MLflow's run": (MlflowClient, "log_artifact"),
    "between a checkpoint and its metrics": (Lead, "send"),
    "before the weights": (running, "save_weights"),
    "between MLflow's end of it and the folder's": (
        running,
        "write_values",
        False,
        lambda folder, name, _: name == running.RESULT,
    ),
}


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS)
def test_a_run_that_is_killed_at_a_bad_moment_is_found_and_finished(point, tmp_path, monkeypatch):
    recipe = load_recipe("gated_loop", FEW)
    unbroken = run(recipe, folder=tmp_path / "unbroken")
    strike(monkeypatch, *point)
    with pytest.raises(Kill):
        run(recipe, folder=tmp_path / "broken")
    assert not (tmp_path / "broken" / "result.json").exists()
    again = run(recipe, folder=tmp_path / "broken")
    client = MlflowClient()
    (experiment,) = [e for e in client.search_experiments() if e.name == "mythos"]
    found = client.search_runs([experiment.experiment_id])
    assert {r.info.run_id for r in found} == {unbroken.run_id, again.run_id}
    assert {r.info.status for r in found} == {"FINISHED"}
    assert json.loads((tmp_path / "broken" / "result.json").read_text())["run_id"] == again.run_id
    assert_same(again, unbroken)


def test_a_metric_that_is_sent_twice_with_its_time_is_one_entry(tmp_path):
    result = run(load_recipe("gated_loop", FEW), folder=tmp_path / "one")
    tracker = Tracker(None, "mythos", "one", run_id=result.run_id)
    for _ in range(2):
        tracker.metrics({"train/loss": 0.5}, step=7, at=1.5)
        tracker.flush()
    sent = [m for m in MlflowClient().get_metric_history(result.run_id, "train/loss") if m.step == 7]
    assert [(m.timestamp, m.value) for m in sent] == [(1500, 0.5)]
