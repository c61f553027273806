"""Storages: opened by URL, refused in one line that shows no password, and shared by many machines."""

import os
import socket
import subprocess
import sys
import threading

import grpc
import optuna
import pytest
import sqlalchemy
from optuna.storages import get_storage
from optuna.storages._grpc.server import make_server
from optuna.trial import TrialState
from typer.testing import CliRunner

from mythos_lab.cli import app
from mythos_lab.recipe.errors import RecipeError, Unreachable
from mythos_lab.recipe.urls import without_password
from mythos_lab.search import storage
from mythos_lab.search.spaces.space import load_space
from mythos_lab.search.storage import is_transient, open_storage
from mythos_lab.search.trial_queue import hand_back, settle, take
from mythos_lab.search.trial_states import is_settled
from tests.lab.search.tiny import write

SECRET = "hunter2"
SPACE = {"training.optimizer.lr": {"choice": [0.001, 0.01]}}


@pytest.mark.parametrize(
    "url, said",
    [
        (f"mongodb://me:{SECRET}@host/db", "expected one of: journal:///path, sqlite:///path, postgresql"),
        (f"me:{SECRET}@host/db", "expected one of"),
        ("sqlite", "expected one of"),
        ("sqlite://", "seen by one process only"),
        ("sqlite:///:memory:", "seen by one process only"),
        ("sqlite:////proc/nowhere/study.db", "No such file or directory"),
        ("journal:///proc/nowhere/study.log", "No such file or directory"),
        (f"grpc://me:{SECRET}@localhost", "expected grpc://host:port"),
        ("grpc://127.0.0.1:9", "timeout"),
        (f"postgresql+psycopg://me:{SECRET}@127.0.0.1:9/db", "Connection refused"),
        (f"postgresql+psycopg://127.0.0.1:9/db?user=me&password={SECRET}", "Connection refused"),
        (f"postgresql+psycopg://me:a@{SECRET}@127.0.0.1:9/db", "an @ in a password is written %40"),
        (f"postgresql+psycopg://me:{SECRET}@host:port/db", "'port'"),
        (f"postgresql+nodriver://me:{SECRET}@host/db", "nodriver"),
    ],
)
def test_what_cannot_be_opened_is_said_in_one_line_without_the_password(url, said, tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "_OPENING_SECONDS", 0.1)
    with pytest.raises(RecipeError) as raised:
        open_storage(url, tmp_path)
    (line,) = raised.value.lines
    assert line.startswith(f"storage {without_password(url)}: ") and said in line
    assert isinstance(raised.value, Unreachable) == (said in ("timeout", "Connection refused"))
    assert SECRET not in line and "\n" not in line


@pytest.mark.parametrize("kind, module", [("postgresql", "psycopg"), ("mysql", "pymysql")])
def test_a_driver_that_is_missing_is_named_by_its_extra(kind, module, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(RecipeError, match=rf"pip install 'mythos-lab\[{kind}\]' brings that of {kind}\+{module}://"):
        open_storage(f"{kind}+{module}://me:{SECRET}@127.0.0.1:9/db", tmp_path)


@pytest.mark.parametrize(
    "url, shown",
    [
        ("postgresql+psycopg://me:secret@db/studies", "postgresql+psycopg://db/studies"),
        ("postgresql://me:se@c:r/e?t@db/studies?sslmode=require", "postgresql://db/studies?sslmode=require"),
        ("postgresql://db/studies?user=me&password=secret", "postgresql://db/studies"),
        ("postgresql://me@db:5432/studies", "postgresql://db:5432/studies"),
        ("sqlite:////home/me@work/study.db", "sqlite:////home/me@work/study.db"),
        ("journal:///shared/study.log", "journal:///shared/study.log"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url, shown):
    assert without_password(url) == shown


def test_a_relative_journal_is_the_same_file_from_wherever_its_lock_is_read(tmp_path):
    # Optuna's lock is a link to the journal's path; a relative one leads nowhere, and its holder's death goes unseen.
    opened = open_storage("journal://below/study.log", tmp_path / "elsewhere")
    assert opened.inner._backend._file_path == str(tmp_path / "below" / "study.log")


def test_a_fresh_database_may_be_opened_by_many_at_once(tmp_path):
    failed = []
    gate = threading.Barrier(6)

    def open_it():
        gate.wait()
        try:
            open_storage(f"sqlite:///{tmp_path}/study.db", tmp_path)
        except RecipeError as error:
            failed.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_the_command_line_wins_over_the_file_and_the_file_over_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("MYTHOS_STORAGE", "sqlite:///environment.db")
    assert write(tmp_path, space=SPACE).storage == "sqlite:///environment.db"
    space = write(tmp_path, space=SPACE, storage="sqlite:///file.db")
    assert space.storage == "sqlite:///file.db"
    said = load_space(str(tmp_path / "tiny.yaml"), storage=f"postgresql://me:{SECRET}@db/x")
    assert said.storage == f"postgresql://me:{SECRET}@db/x" and SECRET not in repr(said)
    monkeypatch.setenv("MYTHOS_STORAGE", "")
    assert write(tmp_path, space=SPACE).storage is None


def test_a_study_on_a_storage_that_does_not_answer_ends_with_one_line_and_leaves_nothing(tmp_path):
    write(tmp_path, space=SPACE)
    url = f"postgresql+psycopg://me:{SECRET}@127.0.0.1:9/db"
    result = CliRunner().invoke(app, ["study", "tiny.yaml", "--storage", url])
    assert result.exit_code == 1 and len(result.stderr.strip().splitlines()) == 1
    assert "storage postgresql+psycopg://127.0.0.1:9/db: " in result.stderr and SECRET not in result.output
    assert os.listdir(tmp_path) == ["tiny.yaml"]


class Unavailable(grpc.RpcError):
    __module__ = "grpc"

    def __init__(self, code, said=""):
        super().__init__(said)
        self.code = lambda: code


@pytest.mark.parametrize(
    "error, waits",
    [
        (sqlalchemy.exc.OperationalError("SELECT 1", {}, Exception("server closed the connection")), True),
        (sqlalchemy.exc.PendingRollbackError("Can't reconnect until invalid transaction is rolled back"), True),
        (sqlalchemy.exc.ProgrammingError("SELEKT 1", {}, Exception("syntax error")), False),
        (Unavailable(grpc.StatusCode.UNAVAILABLE), True),
        (
            Unavailable(grpc.StatusCode.UNKNOWN, "Exception calling application: (sqlite3.OperationalError) locked"),
            True,
        ),
        (Unavailable(grpc.StatusCode.UNKNOWN, "Exception calling application: KeyError"), False),
        (Unavailable(grpc.StatusCode.INVALID_ARGUMENT), False),
        (ValueError("no such trial"), False),
    ],
)
def test_only_a_storage_that_is_away_is_waited_for(error, waits):
    assert is_transient(error) is waits


@pytest.fixture
def proxy(tmp_path):
    """Optuna's proxy over SQLite, and its URL."""
    server = make_server(get_storage(f"sqlite:///{tmp_path}/study.db"), "127.0.0.1", 0)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"grpc://127.0.0.1:{port}"
    server.stop(None)


@pytest.mark.parametrize("kind", ["journal", "sqlite", "proxy"])
def test_what_pruners_go_by_survives_a_hand_back_in_every_storage(kind, proxy, tmp_path):
    urls = {"journal": None, "sqlite": f"sqlite:///{tmp_path}/other.db", "proxy": proxy}
    study = optuna.create_study(study_name="s", storage=open_storage(urls[kind], tmp_path))
    trial = take(study, 1)
    trial.suggest_float("x", 0, 1)
    trial.report(0.5, 10)
    trial.set_user_attr("loop_gain", {"10": 0.25})
    hand_back(study, trial, "gone")
    assert take(study, 1).number == 1
    elsewhere = optuna.load_study(study_name="s", storage=open_storage(urls[kind], tmp_path))
    again = elsewhere.get_trials()[1]
    assert again.intermediate_values == {10: 0.5} and again.user_attrs["loop_gain"] == {"10": 0.25}


def test_trials_behind_the_proxy_are_taken_handed_back_and_settled_once(proxy, tmp_path):
    mine = optuna.create_study(study_name="s", storage=open_storage(proxy, tmp_path))
    theirs = optuna.load_study(study_name="s", storage=open_storage(proxy, tmp_path))
    trial = take(mine, 2)
    x = trial.suggest_float("x", 0, 1)
    hand_back(theirs, theirs.get_trials()[0], "gone")
    assert not settle(mine, trial, TrialState.COMPLETE, "complete", values=[1.0]), "it is in other hands"
    again = take(theirs, 2)
    assert again.suggest_float("x", 0, 1) == x
    assert settle(theirs, again, TrialState.COMPLETE, "complete", values=[1.0])
    other = take(mine, 2)
    assert take(theirs, 2) is None
    assert settle(mine, other, TrialState.COMPLETE, "complete", values=[2.0])
    behind = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/study.db")
    assert sorted(t.value for t in behind.get_trials() if is_settled(t)) == [1.0, 2.0]


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--storage", "journal:///tmp/study.log"], "needs a database; expected sqlite"),
        (["--storage", f"grpc://me:{SECRET}@localhost:1"], "needs a database"),
        (["--storage", f"postgresql://me:{SECRET}@127.0.0.1:9/db"], "Connection refused"),
    ],
)
def test_what_the_proxy_cannot_serve_is_refused_in_one_line(arguments, said):
    result = CliRunner().invoke(app, ["proxy", *arguments])
    assert result.exit_code == (1 if said == "Connection refused" else 2)
    assert said in result.stderr and SECRET not in result.output
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_port_that_is_taken_is_not_shared_with_whoever_has_it(proxy):
    port = proxy.rpartition(":")[2]
    result = CliRunner().invoke(
        app, ["proxy", "--storage", "sqlite:///other.db", "--host", "127.0.0.1", "--port", port]
    )
    assert result.exit_code == 2 and "Address already in use" in result.stderr and not os.path.exists("other.db")


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def test_the_proxy_verb_serves_a_database(tmp_path):
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "mythos_lab.cli", "proxy", "--storage", "sqlite:///study.db", "--port", str(port)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stdout.readline().startswith(f"proxy of sqlite:///study.db on grpc://localhost:{port}")
        optuna.create_study(study_name="s", storage=open_storage(f"grpc://localhost:{port}", tmp_path))
    finally:
        server.terminate()
        server.communicate()
    assert optuna.get_all_study_names("sqlite:///study.db") == ["s"]
