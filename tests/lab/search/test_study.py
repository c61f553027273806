"""A study: what it leaves, vetoes, and that killed workers cost nothing."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import optuna
import pytest
import yaml
from mlflow import MlflowClient
from optuna.trial import TrialState
from typer.testing import CliRunner

from mythos_lab.cli import app
from mythos_lab.recipe.compose import validate
from mythos_lab.recipe.cost import cost
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.search.budgets.hold import Hold, Vetoed, held
from mythos_lab.search.opening import find_study
from mythos_lab.search.spaces.space import load_space
from mythos_lab.search.trial_states import is_settled

SPACE = {
    "name": "tiny",
    "recipe": "gated_loop",
    "overrides": [
        "task=word_problem", "mask=causal",
        "training.max_steps=40", "training.validate_every=10", "training.batch_size=8", "training.schedule.warmup_steps=2",
        "task.validation_size=32", "evaluation.knockouts=false", "evaluation.depth_factor=1", "training.num_threads=1",
        "measures=[]", "monitor.measures=[]",
    ],
    "space": {
        "model.core.loops": {"fixed": {"num_loops": 2}, "uniform": {"low": 1, "high": {"int": [2, 3]}}},
        "training.optimizer.lr": {"float": [1e-3, 1e-2], "log": True},
    },
    "hold": {"budgets": {"cost/params": 28000}, "by": "model.width", "tolerance": 0.2},
    "objectives": {"val/accuracy": "maximize"},
    "pruner": "median",
    "trials": 4,
}  # fmt: skip


@pytest.fixture
def start(tmp_path, a_store, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def start(**changes):
        (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({**SPACE, **changes}))
        return subprocess.Popen(
            [sys.executable, "-m", "mythos_lab.cli", "study", "tiny.yaml", "--workers", "2"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    return start


@pytest.fixture
def trials():
    """The study's trials. It is opened once: who looks ten times a second has a core to leave to the workers."""
    opened = []

    def trials():
        if not opened and os.path.exists("studies/tiny/journal.log"):
            with suppress(RecipeError):  # it is being begun
                opened.append(find_study(load_space("tiny.yaml")))
        return opened[0].get_trials() if opened else []

    return trials


def again(*more):
    """The same command once more, in this process."""
    result = CliRunner().invoke(app, ["study", "tiny.yaml", *more])
    assert result.exit_code == 0, result.output


def wait_for(condition, process):
    for _ in range(6000):
        if condition():
            return
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.1)
    raise AssertionError("never happened")


def running_workers(trials):
    return [
        t.user_attrs["worker"]
        for t in trials
        if t.state is TrialState.RUNNING and "folder" in t.user_attrs and _has_checkpoint(t)
    ]


def _has_checkpoint(trial):
    return os.path.exists(f"studies/tiny/{trial.user_attrs['folder']}/seed-0/last.ckpt")


def check_complete(done, num_trials):
    settled = [t for t in done if is_settled(t)]
    assert len(settled) == num_trials and all(t.state.is_finished() for t in done)
    folders = [t.user_attrs["folder"] for t in settled]
    assert len(set(folders)) == num_trials, "a trial was counted twice"
    killed = [t for t in done if not is_settled(t)]
    retried = {t.user_attrs["retry_of"]: t for t in done if "retry_of" in t.user_attrs}
    assert {t.number for t in killed} == set(retried)
    assert all(retried[t.number].params == t.params for t in killed)
    return killed


def test_a_killed_worker_and_a_killed_study_cost_nothing(start, trials):
    study = start()
    wait_for(lambda: running_workers(trials()), study)
    os.kill(
        int(running_workers(trials())[0].split(":")[-2]), signal.SIGKILL
    )  # the study itself puts another in its place
    wait_for(lambda: any(not is_settled(t) and t.state.is_finished() for t in trials()), study)
    wait_for(lambda: running_workers(trials()), study)
    os.killpg(study.pid, signal.SIGKILL)  # all of it, and the same command again
    study.wait()
    resumed = start()
    output = resumed.communicate(timeout=300)[0]
    assert resumed.returncode == 0, output
    assert "of killed workers queued again" in output and "best trials" in output and "mythos ui" in output
    assert len(check_complete(trials(), 4)) >= 2
    again()
    check_complete(trials(), 4)

    client = MlflowClient("sqlite:///mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("mythos").experiment_id])
    parents = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
    children = [r for r in runs if "mlflow.parentRunId" in r.data.tags]
    assert len(parents) == 1 and parents[0].info.status == "FINISHED"
    assert {r.data.tags["mlflow.parentRunId"] for r in children} == {parents[0].info.run_id}
    assert len(children) == 4, "a retried trial goes on in its own run"
    assert all(r.info.status in ("FINISHED", "KILLED") for r in children)


def test_candidates_get_the_budget_or_are_vetoed(tmp_path):
    space = load_space("quickstart")
    for depth in (1, 4):
        config = {
            **space.base,
            "model": {**space.base["model"], "core": {**space.base["model"]["core"], "depth": depth}},
        }
        params = cost(validate(held(config, space.file.hold, "q"), "q")).params
        assert abs(params / 28_000 - 1) <= 0.15
    with pytest.raises(Vetoed, match="misses"):
        held(space.base, Hold(budgets={"cost/params": 30}, by="model.width", tolerance=0.1), "q")


def test_every_candidate_of_the_quickstart_is_a_valid_recipe():
    space = load_space("quickstart")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    kinds = set()
    for _ in range(30):
        recipe = validate(space.candidate(study.ask()), "quickstart")
        kinds.add((recipe.model.core.loops.kind, recipe.model.core.injection.kind, recipe.model.core.update.kind))
    assert len(kinds) > 8


LONG = {"overrides": [*SPACE["overrides"], "training.max_steps=150"], "pruner": "none"}


@pytest.mark.slow
def test_a_study_that_is_stopped_leaves_no_trial_running_and_goes_on(start, trials):
    # Ctrl-C without a terminal lets trials end; SIGTERM lays them down at a checkpoint.
    for signum, status, outcome in ((signal.SIGINT, 130, "complete"), (signal.SIGTERM, 143, "killed")):
        study = start(**LONG)
        wait_for(lambda: running_workers(trials()), study)
        study.send_signal(signum)
        output = study.communicate(timeout=120)[0]
        assert study.returncode == status and "the same command goes on with it" in output, output
        left = trials()
        assert not any(t.state is TrialState.RUNNING for t in left)
        ended = {t.user_attrs.get("outcome") for t in left if t.state.is_finished()}
        assert outcome in ended and ended <= {"complete", "vetoed", outcome}, ended
    again("--workers", "1")
    assert check_complete(trials(), 4)
    assert all("attempt" not in t.user_attrs or t.user_attrs["attempt"] == 0 for t in trials()), "no worker was lost"
