"""A study: starts workers, watches them, and says what came out."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings

import optuna
import yaml
from optuna.trial import TrialState
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mythos_lab.recipe.compose import validate
from mythos_lab.search.ledger import is_settled, lock, open_study, reap, study_folder
from mythos_lab.search.space import Space
from mythos_lab.search.table import print_study
from mythos_lab.tracking.mlflow import Tracker

_MAX_RESTARTS = 5  # of workers that die without settling a trial in between
_POLL_SECONDS = 1.0


def run_study(space: Space, *, num_trials: int | None = None, num_workers: int | None = None) -> optuna.Study:
    """Run a study, or go on with it, until ``num_trials`` trials are settled; print the result.

    Trials that a killed worker left behind are queued again and go on from their last checkpoint.
    """
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    num_trials, num_workers = num_trials or space.file.trials, num_workers or space.file.workers
    study = open_study(space)
    tracker = _parent_run(space, study)
    with lock(space):
        retried = reap(study)
    if retried:
        print(f"{retried} trial{'s' * (retried > 1)} of killed workers queued again")
    started = time.monotonic()
    try:
        _watch(space, study, num_trials, num_workers)
    except BaseException:
        tracker.finish("KILLED")
        raise
    print_study(space, study, time.monotonic() - started)
    settled = [t for t in study.get_trials(deepcopy=False) if is_settled(t)]
    tracker.metrics(
        {
            f"study/{state.name.lower()}": float(sum(t.state is state for t in settled))
            for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
        },
        len(settled),
    )
    tracker.finish("FINISHED")
    return study


def _parent_run(space: Space, study: optuna.Study) -> Tracker:
    tracking = validate(dict(space.base), space.source).tracking
    run_id = study.user_attrs.get("mlflow_run")
    tracker = Tracker(
        tracking.uri, tracking.experiment, space.file.name, run_id=run_id, tags={"mythos.study": space.file.name}
    )
    if run_id is None:
        study.set_user_attr("mlflow_run", tracker.run_id)
        copy = study_folder(space) / "space.yaml"
        copy.write_text(yaml.safe_dump(space.file.model_dump(mode="json"), sort_keys=False), encoding="utf-8")
        tracker.artifact(copy)
    return tracker


def _watch(space: Space, study: optuna.Study, num_trials: int, num_workers: int) -> None:
    workers: dict[int, subprocess.Popen[bytes]] = {}
    restarts = 0
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[best]}"),
    )
    try:
        with Progress(*columns) as progress:
            bar = progress.add_task(space.file.name, total=num_trials, best="")
            before = -1
            while True:
                settled = sum(is_settled(t) for t in study.get_trials(deepcopy=False))
                progress.update(bar, completed=settled, best=_best(space, study))
                restarts, before = (0 if settled > before else restarts), settled
                if settled >= num_trials:
                    break
                for index in range(num_workers):
                    worker = workers.get(index)
                    if worker is not None and worker.poll() is None:
                        continue
                    if worker is not None and worker.returncode != 0:
                        restarts += 1
                        with lock(space):
                            reap(study)
                        if restarts > _MAX_RESTARTS:
                            raise RuntimeError(f"workers keep dying; see {study_folder(space) / f'worker-{index}.log'}")
                    if worker is None or worker.returncode != 0:
                        workers[index] = _start(space, num_trials, index, num_workers)
                if all(w.poll() == 0 for w in workers.values()):
                    workers.clear()  # they saw others running that have since been killed
                time.sleep(_POLL_SECONDS)
    finally:
        for worker in workers.values():
            worker.terminate()
        for worker in workers.values():
            worker.wait()


def _start(space: Space, num_trials: int, index: int, num_workers: int) -> subprocess.Popen[bytes]:
    # Two spinning thread pools on the same cores are five to ten times slower than one.
    threads = str(max(1, (os.cpu_count() or 1) // num_workers))
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, "-m", "mythos_lab.search.worker", str(space.source), str(num_trials), str(index)]
    with (study_folder(space) / f"worker-{index}.log").open("ab") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def _best(space: Space, study: optuna.Study) -> str:
    if len(space.file.objectives) > 1:
        return f"{len(study.best_trials)} on the front"
    (name,) = space.file.objectives
    done = any(t.state is TrialState.COMPLETE for t in study.get_trials(deepcopy=False))
    return f"best {name} {study.best_value:.4g}" if done else ""
