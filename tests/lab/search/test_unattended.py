"""Workers that no study started: they take part from wherever they are, and are watched over by nobody."""

import os
import signal

import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState
from typer.testing import CliRunner

from mythos_lab.cli import app
from mythos_lab.search import trial as trials
from mythos_lab.search.attributes import OUTCOME
from mythos_lab.search.opening import enqueue_grid, open_study
from mythos_lab.search.trial_queue import settle, take
from mythos_lab.search.unattended import INDEX_VARIABLES, take_part
from tests.lab.search.driving import results
from tests.lab.search.tiny import work_off, write

TWO = {"sampler": "grid", "space": {"seed": {"int": [0, 1]}}, "heartbeat": 0.1}


def work(*arguments):
    return CliRunner().invoke(app, ["worker", "tiny.yaml", *arguments])


def test_workers_alone_come_to_what_a_study_comes_to_and_the_study_concludes(tmp_path):
    done = work_off(write(tmp_path, **{**TWO, "name": "with_a_study"}))
    alone = write(tmp_path, **{**TWO, "name": "alone"})
    said = work()
    assert said.exit_code == 0 and "2 trials are settled; mythos study tiny.yaml says" in said.output, said.output
    study = open_study(alone)
    assert results(study) == results(done)
    (run_id,) = {MlflowClient().get_run(run).data.tags["mlflow.parentRunId"]
                 for trial in study.get_trials() for run in trial.user_attrs["mlflow_runs"]}  # fmt: skip
    assert run_id == study.user_attrs["mlflow_run"]
    again = work()
    assert again.exit_code == 0 and again.output == "", "there is nothing left to do, and nothing was done"
    concluded = CliRunner().invoke(app, ["study", "tiny.yaml"])
    assert concluded.exit_code == 0 and "best trials" in concluded.output
    assert len(open_study(alone).get_trials()) == 2


@pytest.mark.parametrize("signum, outcome", [(signal.SIGTERM, "killed"), (signal.SIGUSR1, "complete")])
def test_a_signal_lays_the_trial_down_or_lets_it_end_and_the_status_says_which(tmp_path, monkeypatch, signum, outcome):
    space, train = write(tmp_path, **TWO), trials.run

    def hit(recipe, *, on_validation, **kwargs):
        def validated(step, scores):
            os.kill(os.getpid(), signum)
            on_validation(step, scores)

        return train(recipe, on_validation=validated, **kwargs)

    monkeypatch.setattr(trials, "run", hit)
    said = work()
    assert said.exit_code == 128 + signum and "the same command goes on with it" in said.output
    monkeypatch.setattr(trials, "run", train)
    first, *rest = open_study(space).get_trials()
    assert first.user_attrs[OUTCOME] == outcome and all(t.state is TrialState.WAITING for t in rest)
    assert work().exit_code == 0 and len(results(open_study(space))) == 2


def test_it_stays_while_the_last_trials_run_elsewhere(tmp_path, monkeypatch):
    space = write(tmp_path, **{**TWO, "space": {"seed": {"int": [0, 0]}}})
    study = open_study(space)
    enqueue_grid(study, space, 1)
    theirs, waited = take(study, 1), []

    def wait(*_):
        waited.append(study.trials[theirs.number].state)
        settle(study, theirs, TrialState.COMPLETE, "complete", values=[1.0])

    monkeypatch.setattr("mythos_lab.search.unattended._wait", wait)
    take_part(space, 0)
    assert waited == [TrialState.RUNNING]


@pytest.mark.parametrize("name", INDEX_VARIABLES)
def test_which_worker_it_is_is_said_by_who_started_it(name, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setenv(name, "7")
    monkeypatch.setattr(
        "mythos_lab.search.unattended.join_study", lambda space, num, worker: asked.append(worker) or 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        take_part(write(tmp_path, **TWO))
    assert asked == [7]
