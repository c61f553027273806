"""What a worker does where a run does not end by itself."""

import errno
import os
import signal
import time

import numpy as np
import pytest
import torch
from mlflow.exceptions import MlflowException
from optuna.trial import TrialState

from mythos_lab.recipe.errors import Misplaced
from mythos_lab.search import trial, worker
from mythos_lab.search.faults import is_disk_full, is_out_of_memory
from mythos_lab.search.opening import open_study
from mythos_lab.search.trial_states import is_settled
from mythos_lab.search.worker import Orders, run_one
from mythos_lab.tracking.claim import claimed
from mythos_lab.training import assembly
from mythos_lab.training.stop_reasons import RankDied
from tests.lab.search.tiny import write


def wrapped(error):
    try:
        try:
            raise error
        except Exception as inner:
            raise MlflowException("the run could not be logged") from inner
    except MlflowException as outer:
        return outer


@pytest.mark.parametrize(
    "error, full",
    [
        (OSError(errno.ENOSPC, "no matter"), True),
        (OSError(errno.EDQUOT, "no matter"), True),
        (RuntimeError("I/O error: No space left on device (os error 28)"), True),
        (RuntimeError("(sqlite3.OperationalError) database or disk is full"), True),
        (wrapped(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))), True),
        (OSError(errno.ENOENT, os.strerror(errno.ENOENT)), False),
        (wrapped(ValueError("space")), False),
    ],
)
def test_a_full_disk_is_told_from_other_errors_behind_whatever_wraps_it(error, full):
    assert is_disk_full(error) is full


@pytest.mark.parametrize(
    "error, num_settled",
    [
        (OSError(errno.ENOSPC, "full"), 0),
        (MlflowException("away"), 0),
        (Misplaced("gone"), 0),
        (PermissionError(errno.EACCES, "not yours"), 0),
        (OSError(errno.EROFS, "read-only"), 0),
        (ValueError("wrong"), 1),
    ],
)
def test_trials_are_not_blamed_for_what_is_not_their_doing(error, num_settled, tmp_path, monkeypatch):
    space = write(tmp_path, space={"seed": {"int": [0, 5]}}, sampler="random", trials=1)

    def fail(space, study, trial, should_stop):
        space.candidate(trial)
        raise error

    monkeypatch.setattr(worker, "run_trial", fail)
    study = open_study(space)
    for _ in range(6):
        with pytest.raises(type(error)):
            if run_one(space, study, 1, lambda: False) is False:
                raise error  # none is left
    assert sum(map(is_settled, study.get_trials())) == num_settled


OUT_OF_MEMORY = {
    "a GPU's": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "main memory's": RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
    "cuBLAS's": RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    "Python's": MemoryError(),
    "numpy's": np._core._exceptions._ArrayMemoryError((10**12,), np.dtype("float64")),
    "a fork's": OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    "wrapped": wrapped(torch.OutOfMemoryError("CUDA out of memory")),
}


@pytest.mark.parametrize("error", OUT_OF_MEMORY.values(), ids=OUT_OF_MEMORY)
@pytest.mark.parametrize("where", ["admit", "run"])
def test_what_does_not_fit_into_memory_is_infeasible_at_its_first_attempt(error, where, tmp_path, monkeypatch):
    """Samplers learn of it, and its worker goes on: another one would fare no better."""
    space = write(tmp_path, space={"seed": {"int": [0, 5]}}, sampler="random", trials=2)
    full = lambda *arguments, **keywords: (_ for _ in ()).throw(error)  # noqa: E731
    monkeypatch.setattr(trial, where, full)
    study = open_study(space)
    while run_one(space, study, 2, lambda: False):
        pass
    ended = study.get_trials()
    assert [t.state for t in ended] == [TrialState.PRUNED] * 2 and all(map(is_settled, ended))
    for t in ended:
        assert max(t.constraints.values()) > 0 and "does not fit into memory" in t.user_attrs["reason"]


@pytest.mark.parametrize(
    "error", [RuntimeError("shape mismatch"), OSError(errno.ENOSPC, "full"), ValueError("out of range"), None]
)
def test_other_errors_are_not_taken_for_a_lack_of_memory(error):
    assert not is_out_of_memory(error)


def test_a_rank_that_ran_out_of_memory_is_known_by_the_last_line_of_its_log(tmp_path):
    (tmp_path / "log").write_text("Traceback\ntorch.OutOfMemoryError: CUDA out of memory.\n")
    assert is_out_of_memory(RankDied(1, 1, tmp_path / "log"))


def test_a_trial_whose_folder_another_worker_is_still_in_is_handed_back(tmp_path):
    space = write(tmp_path, space={"model.core.depth": {"int": [1, 1]}}, sampler="random", trials=1, heartbeat=0.01)
    study = open_study(space)
    folder = space.folder / "trials/0000/seed-0"
    folder.mkdir(parents=True)
    with claimed(folder / "run.lock"):
        assert run_one(space, study, 1, lambda: False)
    assert [t.user_attrs.get("outcome") for t in study.get_trials()] == ["killed", None]
    assert run_one(space, study, 1, lambda: False)
    assert [t.user_attrs.get("outcome") for t in study.get_trials()] == ["killed", "complete"]
    assert not study.get_trials()[0].user_attrs["blamed"]


@pytest.mark.parametrize("where", ["admit", "run"])
def test_sigterm_breaks_off_a_check_and_hands_the_trial_back(where, tmp_path, monkeypatch):
    space = write(tmp_path, space={"seed": {"int": [0, 5]}}, sampler="random", trials=2)

    def takes_long(*arguments, **keywords):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    monkeypatch.setattr(*{"admit": (trial, "admit"), "run": (assembly, "effects")}[where], takes_long)
    study, begun, heeded = open_study(space), time.monotonic(), signal.getsignal(signal.SIGTERM)
    with Orders().heeded() as orders:
        run_one(space, study, 2, lambda: orders.stop)
    assert time.monotonic() - begun < 30 and orders.stop and signal.getsignal(signal.SIGTERM) == heeded
    assert [t.user_attrs.get("outcome") for t in study.get_trials()] == ["killed", None]
