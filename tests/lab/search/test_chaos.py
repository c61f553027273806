"""Studies survive what happens to workers, databases and disks in many days: nothing is lost, nothing doubled."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import optuna
import pytest
import yaml
from mlflow import MlflowClient
from optuna.trial import TrialState

from mythos_lab.search.heartbeat import Watch
from mythos_lab.search.opening import open_study
from mythos_lab.search.spaces.space import load_space
from mythos_lab.search.storage import open_storage
from mythos_lab.search.trial_queue import hand_back, settle, take
from mythos_lab.search.trial_states import is_settled
from tests.lab.search.mishaps import DONE, WHEN
from tests.lab.search.postgres import cluster

NUM_TRIALS, NUM_WORKERS = 80, 4
KILLS = sorted(random.Random(0).sample(range(8, 66), 3))  # settled trials at which a worker is killed
RESTART = 40

SPACE = {
    "name": "chaos",
    "recipe": "gated_loop",
    "overrides": [
        "imports=[tests.lab.search.mishaps]", "task=word_problem", "mask=causal", "model.width=16",
        "model.core.loops.high=2", "model.core.layer.feedforward.hidden=8", "training.max_steps=4",
        "training.validate_every=2", "training.log_every=1", "training.batch_size=4", "training.schedule.warmup_steps=0",
        "task.validation_size=16", "evaluation.ood=false", "evaluation.knockouts=false", "evaluation.depth_factor=1",
        "measures=[]", "monitor.measures=[]",
    ],
    "space": {"seed": {"int": [0, NUM_TRIALS - 1]}},  # which changes no cost, so that a worker rehearses it once
    "objectives": {"val/loss": "minimize"},
    "sampler": "grid",
    "heartbeat": 2,
}  # fmt: skip


@pytest.mark.slow
def test_a_study_of_80_trials_survives_kills_a_crash_of_its_database_and_full_disks(tmp_path, a_store, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "chaos.yaml").write_text(yaml.safe_dump(SPACE))
    with cluster() as postgres:
        monkeypatch.setenv("MYTHOS_STORAGE", postgres.url)
        root, before = str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, before]), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "mythos_lab.cli", "study", "chaos.yaml", "--workers", str(NUM_WORKERS)]
        with open("study.log", "w") as log:
            coordinator = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            killed = make_trouble(postgres, coordinator)
            assert coordinator.wait(timeout=120) == 0
        finally:
            coordinator.kill()
            shown = Path("study.log").read_text()
            print(shown, *(f"{log}\n{log.read_text()}" for log in Path("studies/chaos").glob("*.log")), sep="\n")
        trials = open_study(load_space("chaos.yaml")).get_trials()
    assert len(killed) == len(KILLS) and {path.name for path in DONE.iterdir()} >= set(WHEN)

    done = [t for t in trials if is_settled(t)]
    assert len(done) == NUM_TRIALS and all(t.state is TrialState.COMPLETE for t in done)
    assert len({tuple(t.params.values()) for t in done}) == NUM_TRIALS, "each point of the grid once"
    assert all(t.state.is_finished() for t in trials)
    left = Counter(t.user_attrs["outcome"] for t in trials if not is_settled(t))
    assert left["killed"] >= len(WHEN) - 1 and set(left) <= {"killed", "surplus"}
    full = [t for t in trials if "No space left on device" in t.user_attrs.get("reason", "")]
    assert len(full) == 2
    check_that_mlflow_agrees(done)


def make_trouble(postgres, coordinator):
    """Kill workers and crash the database, by the number of trials that are settled; the workers that were killed."""
    rng, killed, restarted = random.Random(1), [], False
    study = None
    while coordinator.poll() is None:
        time.sleep(0.5)
        if study is None:
            names = optuna.get_all_study_names(open_storage(postgres.url, Path()))
            study = optuna.load_study(study_name="chaos", storage=open_storage(postgres.url, Path())) if names else None
            continue
        trials = study.get_trials(deepcopy=False)
        settled = sum(map(is_settled, trials))
        if not restarted and settled >= RESTART:
            postgres.restart("immediate")
            restarted = True
        running = [t.user_attrs["worker"] for t in trials if t.state is TrialState.RUNNING and "worker" in t.user_attrs]
        alive = sorted(set(running) - set(killed))
        if alive and len(killed) < len(KILLS) and settled >= KILLS[len(killed)]:
            worker = rng.choice(alive)
            killed.append(worker)
            try:
                os.kill(int(worker.split(":")[-2]), signal.SIGKILL)
            except ProcessLookupError:
                killed.remove(worker)
    return killed


def check_that_mlflow_agrees(done):
    """Trial by trial: one run, finished, with the trial's parameters, and its value logged once."""
    client = MlflowClient(f"sqlite:///{Path.cwd()}/mlflow.db")
    (experiment,) = [e.experiment_id for e in client.search_experiments() if e.name == "mythos"]
    runs = {r.info.run_id: r for r in client.search_runs([experiment], max_results=1000)}
    assert {r.info.status for r in runs.values()} == {"FINISHED"}
    (parent,) = [r for r in runs.values() if "mlflow.parentRunId" not in r.data.tags]
    assert len(runs) == 1 + len(done)
    for trial in done:
        (run_id,) = trial.user_attrs["mlflow_runs"]
        run = runs.pop(run_id)
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert trial.user_attrs["folder"] == f"trials/{run.data.tags['mythos.trial']}"
        assert run.data.metrics["val/loss"] == trial.value
        for name, value in trial.params.items():
            assert float(run.data.params[name]) == value
        for name in ("train/loss", "val/loss", "cost/params"):
            steps = [m.step for m in client.get_metric_history(run_id, name)]
            assert sorted(steps) == {"train/loss": [0, 1, 2, 3], "val/loss": [2, 4], "cost/params": [0]}[name], name
    assert list(runs) == [parent.info.run_id]


@pytest.mark.slow
def test_trials_are_taken_and_settled_while_the_database_restarts_again_and_again():
    over = threading.Event()
    with cluster() as postgres:
        study = optuna.create_study(study_name="restarts", storage=open_storage(postgres.url, Path()))
        watch = Watch(heartbeat=0.0)

        def restart():
            for mode in ["immediate", "fast"] * 4:
                postgres.restart(mode)
                time.sleep(0.5)
            over.set()

        def take_in_the_end():
            while (trial := take(study, num_trials)) is None:
                watch.reap(study)  # a trial that was begun, and of which the answer was lost
            return trial

        thread = threading.Thread(target=restart)
        thread.start()
        num_trials = 0
        while not over.is_set() or num_trials % 7:
            num_trials += 1
            trial = take_in_the_end()
            trial.suggest_float("x", 0, 1)
            if num_trials % 7 == 3:
                hand_back(study, trial, "stopped")
                trial = take_in_the_end()
            settle(study, trial, TrialState.COMPLETE, "complete", values=[trial.suggest_float("x", 0, 1)])
        thread.join()
        while any(not t.state.is_finished() for t in study.get_trials()):
            watch.reap(study)
        done = [t for t in study.get_trials() if is_settled(t)]
    assert len(done) == num_trials and all(t.value == t.params["x"] for t in done)
    assert len({t.value for t in done}) == num_trials
