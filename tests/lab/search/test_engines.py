"""What engines have in common, and any number of machines that work off one study."""

import os
import pickle
import subprocess
import sys

import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState
from typer.testing import CliRunner

from mythos_lab.cli import app
from mythos_lab.recipe.errors import Misplaced, RecipeError, WorkersLost
from mythos_lab.search.attributes import ATTEMPT
from mythos_lab.search.engines import Engine, make_engine
from mythos_lab.search.engines.local import Local
from mythos_lab.search.engines.remote import Assignment, Channel, Needs, give
from mythos_lab.search.opening import open_study
from mythos_lab.search.spaces.space import load_space
from mythos_lab.search.study import run_study
from mythos_lab.search.trial_queue import MAX_ATTEMPTS, hand_back, settle, take
from tests.lab.search.driving import fields, job_of, results
from tests.lab.search.tiny import work_off, write

SECRET = "hunter2"


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--engine", "rya"], "--engine rya: did you mean 'ray'"),
        (["--slurm", "partition=gpu"], "--slurm: without --engine slurm it has no effect"),
        (["--engine", "slurm", "--gpus-per-trial", "1"], "--gpus-per-trial: without --engine ray it has no effect"),
        (["--ray-address", "auto"], "--ray-address: without --engine ray it has no effect"),
    ],
)
def test_options_without_effect_are_refused_before_anything_is_written(arguments, said, tmp_path):
    write(tmp_path, **fields("refused", 12))
    result = CliRunner().invoke(app, ["study", "tiny.yaml", *arguments])
    assert result.exit_code == 2 and said in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert os.listdir(tmp_path) == ["tiny.yaml"]


@pytest.mark.parametrize("kind, module", [("ray", "ray"), ("slurm", "submitit")])
def test_an_engine_that_is_not_installed_names_its_extra(kind, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, f"mythos_lab.search.engines.{kind}", raising=False)
    with pytest.raises(RecipeError, match=rf"pip install 'mythos-lab\[{kind}\]'"):
        make_engine(kind, {})


def test_an_engine_is_made_for_whatever_job(tmp_path):
    assert isinstance(make_engine("local", {"slurm": None})(job_of(write(tmp_path, **fields("any", 12)))), Local)


class Idle(Engine):
    tend = is_idle = finish = abandon = lambda self: None


@pytest.fixture
def job(tmp_path):
    return job_of(write(tmp_path, **fields("job", 12)), num_workers=3)


def test_no_more_workers_are_wanted_than_would_find_a_trial(job):
    engine, study = Idle(job), job.study
    assert [engine.num_vacancies(busy) for busy in (0, 1, 3, 4)] == [3, 2, 0, 0]
    mine = [take(study, 4) for _ in range(3)]
    assert engine.num_vacancies(3) == 0, "all three workers have one, and there are no more workers"
    assert engine.num_vacancies(2) == 1, "another machine has the third"
    for trial in mine[:2]:
        settle(study, trial, TrialState.COMPLETE, "complete", values=[1.0])
    assert engine.num_vacancies(1) == 1, "two are settled, one runs, one is left"
    assert engine.num_vacancies(2) == 0, "and the second worker is about to take it"


def test_workers_that_keep_dying_end_the_study_and_a_settled_trial_forgives(job):
    engine = Idle(job)
    for _ in range(15):
        engine.count_death("the log says why")
    settle(job.study, take(job.study, 4), TrialState.COMPLETE, "complete", values=[1.0])
    for _ in range(15):
        engine.count_death("the log says why")
    with pytest.raises(WorkersLost, match="workers keep dying; the log says why"):
        engine.count_death("the log says why")


def test_no_worker_is_started_while_other_machines_hold_what_is_left(job, monkeypatch):
    started = []

    class Process:
        returncode = 0

        def poll(self):
            return self.returncode

    monkeypatch.setattr(Local, "_start", lambda self, index: started.append(index) or Process())
    engine = Local(job)
    theirs = [take(job.study, 4) for _ in range(3)]
    engine.tend()
    engine.tend()  # the first found nothing and has ended: one trial is left, and nobody has it
    assert started == [0, 0]
    last = take(job.study, 4)
    engine.tend()
    assert started == [0, 0] and engine.is_idle()
    hand_back(job.study, theirs[0], "gone")
    engine.tend()
    assert started == [0, 0, 0]
    settle(job.study, last, TrialState.COMPLETE, "complete", values=[1.0])


def test_a_study_whose_workers_keep_dying_ends_with_the_place_where_they_say_why(tmp_path, monkeypatch):
    write(tmp_path, **fields("dying", 12))
    monkeypatch.setattr("mythos_lab.search.study._POLL_SECONDS", 0.01)
    monkeypatch.setattr(Local, "_start", lambda *_: subprocess.Popen([sys.executable, "-c", "exit(7)"]))
    result = CliRunner().invoke(app, ["study", "tiny.yaml"])
    assert result.exit_code == 1 and not isinstance(result.exception, WorkersLost)
    log = tmp_path / "studies/dying/worker-0.log"
    assert result.stderr.strip().splitlines() == [f"workers keep dying; {log} says why"]


def test_a_trial_that_is_laid_down_again_and_again_is_not_taken_for_a_killer(job):
    for _ in range(4 * (MAX_ATTEMPTS + 1)):  # four trials of ten hours under a time limit of one
        trial = take(job.study, 1)
        job.space.candidate(trial)
        hand_back(job.study, trial, "stopped", lost=False)
    assert take(job.study, 1).user_attrs[ATTEMPT] == 0


def test_orders_reach_a_worker_through_the_study_and_those_of_another_coordinator_do_not(job):
    mine, theirs = Assignment.of(job), Assignment.of(job)
    with Channel(open_study(job.space), mine.channel, 0.2) as orders:
        give(job, theirs, "stop")
        orders.read()
        assert (orders.finish, orders.stop) == (False, False)
        give(job, mine, "finish")
        orders.read()
        assert (orders.finish, orders.stop) == (True, False)
        give(job, mine, "stop")
        give(job, mine, "finish")  # nobody is asked to stop in vain
        orders.read()
        assert (orders.finish, orders.stop) == (True, True)


def test_a_worker_that_is_not_where_the_study_is_says_so(tmp_path, monkeypatch):
    space = write(tmp_path, **fields("far", 12), storage=f"sqlite:///{tmp_path}/study.db")
    assignment = Assignment.of(job_of(space))
    assert assignment.enter(None).storage == space.storage
    write(tmp_path, **fields("far", 12))
    with pytest.raises(Misplaced, match="was given none; does the cluster pass the environment on"):
        assignment.enter(None)
    assert assignment.enter(space.storage).storage == space.storage
    (tmp_path / "tiny.yaml").unlink()
    with pytest.raises(Misplaced, match="tiny.yaml: not on .*; a cluster's machines have to share the study's disk"):
        assignment.enter(space.storage)


def test_what_travels_through_files_holds_no_password(job):
    from dataclasses import replace

    told = Assignment.of(replace(job, space=replace(job.space, storage=f"postgresql://me:{SECRET}@db/studies")))
    assert told.storage == "postgresql://db/studies" and SECRET.encode() not in pickle.dumps(told)


def test_a_trial_needs_its_threads_for_each_device(tmp_path):
    def needs(*overrides):
        declared = fields("needs", 12)
        return Needs.of(write(tmp_path, **{**declared, "overrides": [*declared["overrides"], *overrides]}))

    assert needs() == Needs(cpus=1, gpus=1, if_any=True)
    assert needs("training.accelerator=cpu", "training.num_devices=2", "training.num_threads=3") == Needs(
        6, 0, if_any=False
    )
    assert needs("training.accelerator=gpu", "training.num_devices=4") == Needs(4, 4, if_any=False)


def test_a_grid_that_was_queued_by_two_at_once_leaves_nothing_waiting(tmp_path):
    space = write(tmp_path, **fields("twice", 12))
    study = work_off(space)
    study.enqueue_trial(space.points[0], user_attrs={"point": 0})
    assert results(run_study(space)) == results(study)
    assert study.get_trials()[-1].user_attrs == {"point": 0, "outcome": "surplus"}


def coordinator(folder, url):
    """`mythos study` in a working directory of its own; what it says."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "mythos_lab.cli", "study", "../tiny.yaml", "--storage", url, "--workers", "1"]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
def test_two_machines_that_begin_at_once_share_the_trials_of_one_study(tmp_path, a_store):
    """In a database; those that share a journal are in tests/lab/tracking/test_claim.py."""
    space = write(tmp_path, **fields("shared", 12))
    url = f"sqlite:///{tmp_path}/study.sqlite"
    both = [coordinator(tmp_path / name, url) for name in ("first", "second")]
    said = [process.communicate(timeout=500)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    study = open_study(load_space(str(space.source), tmp_path / "first", url))
    alone = results(work_off(write(tmp_path, **fields("alone", 12))))
    assert results(study) == alone
    assert all(trial.state.is_finished() for trial in study.get_trials())
    assert all("4 complete" in output for output in said)
    # Every trial that counts has its runs, and they are in the store that both name.
    client = MlflowClient()
    for trial in study.get_trials():
        for run in trial.user_attrs.get("mlflow_runs", []):
            assert client.get_run(run).info.status == "FINISHED"
