"""What a worker does where a run does not end by itself."""

import errno
import os

import pytest
from mlflow.exceptions import MlflowException

from mythos_lab.recipe.errors import Misplaced
from mythos_lab.search import worker
from mythos_lab.search.opening import open_study
from mythos_lab.search.trial_queue import is_settled
from mythos_lab.search.worker import is_disk_full, run_one
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
