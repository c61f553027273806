"""The study's storage and its bookkeeping: who runs which trial, and what became of the others."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import optuna
import psutil
from filelock import FileLock
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from mythos_lab.search.space import Space

OUTCOME, WORKER, FOLDER, RETRY_OF, REASON = "outcome", "worker", "folder", "retry_of", "reason"
KILLED = "killed"


def study_folder(space: Space) -> Path:
    """Where a study keeps its journal and its trials."""
    return Path("studies") / space.file.name


def open_study(space: Space, worker: int = 0) -> optuna.Study:
    """The study, made where it is missing; each worker samples from a seed of its own."""
    folder = study_folder(space)
    folder.mkdir(parents=True, exist_ok=True)
    return optuna.create_study(
        study_name=space.file.name,
        storage=JournalStorage(JournalFileBackend(str(folder / "journal.log"))),
        directions=list(space.file.objectives.values()),
        sampler=_sampler(space, worker),
        pruner=_pruner(space),
        load_if_exists=True,
    )


def lock(space: Space) -> FileLock:
    """Held while a trial is taken, so that two workers never take the last one both."""
    return FileLock(str(study_folder(space) / "lock"))


def take(study: optuna.Study, num_trials: int) -> optuna.Trial | None:
    """A trial to run, or ``None`` where enough are settled or running. Call it under the lock."""
    trials = study.get_trials(deepcopy=False)
    if sum(is_settled(t) or t.state is TrialState.RUNNING for t in trials) >= num_trials:
        return None
    trial = study.ask()
    trial.set_user_attr(WORKER, identity())
    return trial


def reap(study: optuna.Study) -> int:
    """Fail the trials whose worker is gone and queue them again; returns how many. Call it under the lock."""
    orphans = [
        t
        for t in study.get_trials(deepcopy=False)
        if t.state is TrialState.RUNNING and not _alive(t.user_attrs.get(WORKER))
    ]
    for orphan in orphans:
        study._storage.set_trial_user_attr(orphan._trial_id, OUTCOME, KILLED)
        study.tell(orphan.number, state=TrialState.FAIL)
        again: dict[str, Any] = {RETRY_OF: orphan.number}
        if FOLDER in orphan.user_attrs:
            again[FOLDER] = orphan.user_attrs[FOLDER]  # so that it goes on from its last checkpoint
        study.enqueue_trial(orphan.params, user_attrs=again)
    return len(orphans)


def is_settled(trial: FrozenTrial) -> bool:
    """Whether a trial has come to an end of its own, and so counts. A killed one does not: its retry does."""
    return trial.state.is_finished() and trial.user_attrs.get(OUTCOME) != KILLED


def identity() -> str:
    """This process, in words that another one cannot come to share."""
    return f"{socket.gethostname()}:{os.getpid()}:{psutil.Process().create_time():.2f}"


def _alive(worker: str | None) -> bool:
    if worker is None:
        return False
    host, pid, created = worker.rsplit(":", 2)
    if host != socket.gethostname():
        return True  # another machine's worker cannot be looked at from here
    try:
        return f"{psutil.Process(int(pid)).create_time():.2f}" == created
    except psutil.NoSuchProcess:
        return False


def _sampler(space: Space, worker: int) -> BaseSampler:
    seed = space.file.seed * 1000 + worker
    if space.file.sampler == "random":
        return RandomSampler(seed=seed)
    return TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True, n_startup_trials=8)


def _pruner(space: Space) -> optuna.pruners.BasePruner:
    if space.file.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=4)
    return optuna.pruners.HyperbandPruner() if space.file.pruner == "hyperband" else optuna.pruners.NopPruner()
