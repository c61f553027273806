"""A place that is away is waited for in words; one that is full, forbidden or deleted is not waited for."""

import errno
import os
import re
import socket
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

import optuna
import pytest
import sqlalchemy

from mythos_lab.recipe.errors import Misplaced, Unreachable
from mythos_lab.search import patience
from mythos_lab.search.artifacts import Artifacts
from mythos_lab.search.grpc_token import server_of
from mythos_lab.search.opening import open_study
from mythos_lab.search.spaces.space import load_space
from mythos_lab.search.storage import open_storage, patient
from mythos_lab.search.trial_queue import take
from mythos_lab.search.wanted import num_settled
from mythos_lab.training.result import write_state
from mythos_lab.training.stopping import break_off, heeding
from tests.lab.search.tiny import write

SECRET = "hunter2"
RUN = "trials/0000/seed-0"


@pytest.fixture
def waits(monkeypatch):
    """How long was waited, in turn; nobody does."""
    pauses = []
    monkeypatch.setattr(patience.time, "sleep", pauses.append)
    return pauses


class Away:
    """A call that fails some times with an error, and says how often it was made."""

    def __init__(self, error, times):
        self.error, self.left, self.num = error, times, 0

    def __call__(self, *args, **kwargs):
        self.num += 1
        if self.num <= self.left:
            raise self.error


@pytest.mark.parametrize("times, says", [(3, False), (9, True)])
def test_a_storage_that_is_away_is_said_once_and_so_is_its_return(times, says, waits, capsys):
    error = sqlalchemy.exc.OperationalError(f"postgresql://me:{SECRET}@host/db", {}, Exception("gone"))
    inner = optuna.storages.InMemoryStorage()
    inner.remove_session = call = Away(error, times)
    patient(inner, "storage postgresql://host/db").remove_session()
    said = capsys.readouterr().err
    assert call.num == times + 1 and len(waits) >= times and SECRET not in said
    assert bool(said) is says and said.count("does not answer, and is waited for, 600 s at most") == says
    assert said.count("answers again, after") == says


@pytest.mark.parametrize(
    "error, seconds, waited",
    [
        (ConnectionError("reset"), patience.SECONDS, 600),
        (OSError(errno.ESTALE, os.strerror(errno.ESTALE)), 20.0, 20),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), patience.SECONDS, 0),
        (OSError(errno.EROFS, os.strerror(errno.EROFS)), patience.SECONDS, 0),
        (PermissionError(f"s3://me:{SECRET}@bucket: Access Denied"), patience.SECONDS, 0),  # as s3fs has it
    ],
    ids=["away", "stale", "full", "read-only", "forbidden"],
)
def test_a_place_for_artifacts_is_waited_for_where_that_may_help(error, seconds, waited, waits, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    folder.mkdir()
    write_state(folder, {"key": "a" * 32})
    artifacts = Artifacts(str(tmp_path / "place"), "study", seconds)
    fs = type(artifacts._fs)
    whole = fs.put_file
    monkeypatch.setattr(fs, "put_file", Away(error, 10**6))
    with pytest.raises(Unreachable, match=re.escape(f"artifacts {tmp_path / 'place'}: {type(error).__name__}")) as said:
        artifacts.keep(folder, RUN)
    assert waited <= sum(waits) < waited + 20 and SECRET not in str(said.value)
    monkeypatch.setattr(fs, "put_file", whole)
    artifacts.keep(folder, RUN)
    artifacts.bring(tmp_path / "other", RUN)
    assert (tmp_path / "other" / "run.json").read_bytes() == (folder / "run.json").read_bytes()


def test_who_is_asked_to_stop_waits_for_a_few_seconds_more(monkeypatch):
    """Long enough to hand a trial back to a database that begins anew, and not until it is killed."""
    waited, inner = [], optuna.storages.InMemoryStorage()
    error = sqlalchemy.exc.OperationalError("select 1", {}, Exception("gone"))

    def sleep(seconds):
        waited.append(seconds)
        if sum(waited) > 30:
            break_off()

    monkeypatch.setattr(patience.time, "sleep", sleep)
    with heeding({}):
        inner.remove_session = Away(error, 10**6)
        with pytest.raises(sqlalchemy.exc.OperationalError):
            patient(inner, "storage here").remove_session()
        assert 30 < sum(waited) < 32
        waited.clear()
        with pytest.raises(sqlalchemy.exc.OperationalError):
            patient(inner, "storage here").remove_session()
    assert 10 <= sum(waited) < 11


@pytest.mark.parametrize("kind", ["journal", "sqlite", "grpc"])
def test_a_study_that_somebody_deletes_is_said_to_be_gone(kind, tmp_path):
    url = f"journal://{tmp_path}/study.log" if kind == "journal" else f"sqlite:///{tmp_path}/study.db"
    with served(url) if kind == "grpc" else nullcontext(url) as storage:
        space = write(tmp_path, space={"seed": {"int": [0, 9]}}, sampler="random", trials=5)
        study = open_study(load_space(str(space.source), space.folder, storage))
        assert take(study, 5) is not None
        optuna.delete_study(study_name="tiny", storage=open_storage(url, tmp_path))
        for ask in (num_settled, partial(take, num_trials=5)):
            with pytest.raises(Misplaced, match="the study is not there any more; somebody has deleted it"):
                ask(study)


@contextmanager
def served(url):
    """The URL of a proxy before a database, in this process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = server_of(open_storage(url, Path()), f"127.0.0.1:{port}", None)
    server.start()
    try:
        yield f"grpc://127.0.0.1:{port}"
    finally:
        server.stop(None)
