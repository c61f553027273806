"""What others raise has its line and status; what is our own fault keeps its traceback."""

import errno
import sqlite3

import grpc
import pytest
import sqlalchemy.exc
from mlflow.exceptions import MlflowException

from mythos_lab.cli.failures import failure


def behind(cause):
    """An error of ours that a library's is behind."""
    error = RuntimeError("while saving")
    error.__cause__ = cause
    return error


FULL = OSError(errno.ENOSPC, "No space left on device", "runs/a/last.ckpt")
CASES = [
    (PermissionError(errno.EACCES, "Permission denied", "runs"), "runs: Permission denied", 2),
    (OSError(errno.EROFS, "Read-only file system", "studies"), "studies: Read-only file system", 2),
    (FULL, "runs/a/last.ckpt: No space left on device", 1),
    (behind(FULL), "runs/a/last.ckpt: No space left on device", 1),
    (RuntimeError("[enforce fail] PytorchStreamWriter failed writing file data/3"), "disk: [enforce fail] ", 1),
    (MlflowException("the store\nis away"), "tracking: the store is away", 1),
    (sqlite3.OperationalError("database is locked"), "database: database is locked", 1),
    (
        sqlalchemy.exc.OperationalError("", {}, Exception("postgresql://me:secret@db/x is away")),
        "postgresql://db/x",
        1,
    ),
    (grpc.RpcError("unavailable"), "storage: unavailable", 1),
]


@pytest.mark.parametrize("error, said, status", CASES, ids=[type(error).__name__ for error, _, _ in CASES])
def test_a_line_and_a_status(error, said, status):
    found = failure(error)
    assert found.status == status and said in found.line and "\n" not in found.line and "secret" not in found.line


@pytest.mark.parametrize(
    "error", [KeyError("x"), AssertionError("x"), TypeError("x"), BrokenPipeError(32, "Broken pipe")]
)
def test_what_is_no_failure_of_others_is_none(error):
    error.__context__ = FULL
    assert failure(error) is None
