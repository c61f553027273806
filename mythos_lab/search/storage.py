"""Where a study lives: a journal in its folder, a database, or Optuna's gRPC proxy; and patience with all of them."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages._rdb import models
from optuna.storages.journal._storage import JournalOperation

from mythos_lab.recipe.errors import Misplaced, RecipeError, Unreachable
from mythos_lab.recipe.owned import Schema, check_database, check_server
from mythos_lab.recipe.places import leads_into
from mythos_lab.recipe.urls import without_password
from mythos_lab.search.database import Cached, Database, uncollected
from mythos_lab.search.journal import Journal, check_journal
from mythos_lab.search.patience import Patience
from mythos_lab.search.replay import Replay
from mythos_lab.search.room import BELOW, Full
from mythos_lab.search.stored import UNREADABLE, Reader

_OPENING_SECONDS = 30  # for a server to answer at all
# Of SQLAlchemy. PendingRollbackError is what Optuna gets where a connection breaks under a query that it then repeats.
_TRANSIENT = ("OperationalError", "InterfaceError", "InternalError", "TimeoutError", "PendingRollbackError")
_SCHEMES = (
    "journal:///path",
    "sqlite:///path",
    "postgresql+psycopg://",
    "mysql+pymysql://",
    "grpc://host:port",
    "grpcs://host:port",
)
_SERVERS = ("postgresql", "mysql")
_LONGEST_NAME = 63  # bytes that PostgreSQL keeps of a connection's
_BYTES_OF_A_TRIAL = 6_000  # about, in a journal
JOURNAL = "journal.log"
"""The journal in a study's folder."""

_SCHEMA = Schema(
    "storage of Optuna",
    core={
        "studies": ("study_id", "study_name"),
        "trials": ("trial_id", "number", "study_id", "state"),
        "trial_params": ("trial_id", "param_name", "distribution_json"),
    },
    first="studies",
    known=(*models.BaseModel.metadata.tables, "alembic_version"),
    has_triggers=False,
)


def open_storage(url: str | None, folder: Path, num_connections: int = 1) -> BaseStorage:
    """The storage that a URL names.

    Args:
        url: A path after ``journal://``, a database's URL as SQLAlchemy takes it, ``grpc://host:port``, or
            ``grpcs://host:port`` by TLS; ``None`` is a journal in the folder.
        folder: The study's folder.
        num_connections: That are kept to a server; one more is taken for a moment.

    Raises:
        RecipeError: No such kind of storage, or a driver that is not installed.
        Unreachable: A server that does not answer.
    """
    shown = f"storage {without_password(url) if url else folder}"
    try:
        return patient(_open(url, folder, num_connections), shown)
    except RecipeError as error:
        raise RecipeError(f"{shown}: {error}") from None
    except ImportError:
        raise RecipeError(f"{shown}: {_missing_driver(url or '')}") from None
    except Exception as error:  # what a driver raises where the database cannot be reached is its own affair
        known = isinstance(error, (ValueError, OSError, StorageInternalError))
        if not known and _module(error) not in ("sqlalchemy", "psycopg", "pymysql", "grpc"):
            raise
        raise _kind(url, error)(f"{shown}: {_in_short(error)}") from None


def _kind(url: str | None, error: Exception) -> type[RecipeError]:
    """Whether a server failed, for which another time may do, or what was asked for is wrong."""
    is_server = (url or "").startswith((*_SERVERS, "grpc"))
    return (
        Unreachable if is_server and not isinstance(error, ValueError | sqlalchemy.exc.ArgumentError) else RecipeError
    )


def _open(url: str | None, folder: Path, num_connections: int) -> BaseStorage:
    scheme, _, rest = (url or "").partition("://")
    if url is None or scheme == "journal":
        path = (Path(rest) if rest else folder / JOURNAL).absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        if not rest and not leads_into(path, folder):
            raise RecipeError(f"{path.name} is a link that leads out of the study's folder; take it away")
        check_journal(path)
        return _Journaled(Journal(path))
    if scheme in ("grpc", "grpcs"):
        login, _, place = rest.rpartition("@")
        host, _, port = place.rpartition(":")
        if not port.isdigit() or not host:
            raise RecipeError(f"expected {scheme}://host:port, or {scheme}://:TOKEN@host:port")
        from mythos_lab.search.grpc_token import TokenProxy

        proxy = TokenProxy(host, int(port), login.removeprefix(":") or None, encrypted=scheme == "grpcs")
        proxy.wait_server_ready(timeout=_OPENING_SECONDS)
        return proxy
    kind = scheme.partition("+")[0]
    if kind not in ("sqlite", *_SERVERS) or "://" not in url:
        raise RecipeError(f"expected one of: {', '.join(_SCHEMES)}")
    # A connection that died with the database is noticed before it is used.
    options: dict[str, Any] = {"pool_pre_ping": True, "connect_args": {}}
    named = sqlalchemy.make_url(url)
    if "@" in (named.host or ""):  # half of the password, which the driver would show when it finds no such host
        raise RecipeError("an @ in a password is written %40")
    if kind == "sqlite":
        if named.database in (None, "", ":memory:"):
            raise RecipeError("a database in memory is seen by one process only; expected sqlite:///path")
        if named.database.startswith("file:"):
            raise RecipeError("SQLite's own URIs are not read; expected sqlite:///path")
        path = Path(named.database).absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        check_database(path, _SCHEMA)
        options["connect_args"]["timeout"] = 60  # writers wait for each other
    else:
        if "connect_timeout" not in named.query:
            options["connect_args"]["connect_timeout"] = _OPENING_SECONDS
        _name_connections(named, options, folder.name)
        # A worker keeps one; a sign of life that falls into another call takes a second for a moment.
        options |= {"pool_size": num_connections, "max_overflow": 1}
        engine = sqlalchemy.create_engine(url, **options)
        try:
            check_server(engine, _SCHEMA)
        finally:
            engine.dispose()
    return Cached(_database(url, options))


_ENDED = object()


class _Journaled(JournalStorage):
    """The storage of a journal, which Optuna builds from its lines, whatever they hold, as they come."""

    _backend: Journal
    _replay_result: Replay

    def __init__(self, journal: Journal) -> None:
        # Optuna's own reads the journal at once, into a replay of its own.
        self._worker_id_prefix, self._backend, self._thread_lock = f"{uuid.uuid4()}-", journal, threading.Lock()
        self._replay_result = Replay(self._worker_id_prefix)
        with self._thread_lock, uncollected(journal.size() // _BYTES_OF_A_TRIAL):
            self._sync_with_backend()

    def _write_log(self, op_code: int, extra_fields: dict[str, Any]) -> None:
        attrs = extra_fields.get("system_attrs", {})
        if op_code != JournalOperation.CREATE_TRIAL or BELOW not in attrs:
            super()._write_log(op_code, extra_fields)
            return
        plain = {**extra_fields, "system_attrs": {name: value for name, value in attrs.items() if name != BELOW}}
        with self._backend.alone():
            self._sync_with_backend()
            number = len(self._replay_result._study_id_to_trial_ids[extra_fields["study_id"]])
            if number >= attrs[BELOW]:
                raise Full(f"trial {number} would have no room")
            super()._write_log(op_code, plain)

    def _sync_with_backend(self) -> None:
        try:
            self._read()
        finally:
            self._replay_result.show()

    def _read(self) -> None:
        logs = iter(self._backend.read_logs(self._replay_result.log_number_read))
        log: Any = None
        while log is not _ENDED:
            try:
                if (log := next(logs, _ENDED)) is _ENDED:
                    return
                self._replay_result.apply_logs([log])
            except UNREADABLE as error:
                if isinstance(error, RecipeError) or _is_own(log, self._replay_result.worker_id):
                    raise  # what a call of ours is answered
                said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
                line = self._replay_result.log_number_read
                raise Misplaced(f"{self._backend}: line {line} is none that a study writes ({said})") from None


def _is_own(log: Any, worker: str) -> bool:
    return isinstance(log, dict) and log.get("worker_id") == worker


def _name_connections(url: sqlalchemy.URL, options: dict[str, Any], study: str) -> None:
    """Have a server's administrator see whose a connection is, unless the URL or the environment gives another name."""
    said = f"mythos {study} {socket.gethostname()} {os.getpid()}"[:_LONGEST_NAME]
    kind = url.get_backend_name()
    if kind == "postgresql" and "application_name" not in url.query and "PGAPPNAME" not in os.environ:
        options["connect_args"]["application_name"] = said
    elif url.drivername == "mysql+pymysql" and "program_name" not in url.query:
        options["connect_args"]["program_name"] = said


def _database(url: str, options: dict[str, Any]) -> Database:
    """Optuna's tables are made by whoever comes first; those who come at the same moment fail, and find them then."""
    for pause in (0.2, 0.5, 1.0, 2.0):
        try:
            return Database(url, engine_kwargs=options)
        except sqlalchemy.exc.DBAPIError as error:
            if not isinstance(error, sqlalchemy.exc.IntegrityError) and "already exists" not in str(error):
                raise
        time.sleep(pause)
    return Database(url, engine_kwargs=options)


def _missing_driver(url: str) -> str:
    kind = url.partition("://")[0].partition("+")[0]
    expected = next((scheme for scheme in _SCHEMES if scheme.startswith(f"{kind}+")), f"{kind}://")
    return f"its driver is not installed; pip install 'mythos-lab[{kind}]' brings that of {expected}"


def _in_short(error: Exception) -> str:
    return " ".join(str(error).split()).partition(" (Background on")[0][:200]


def patient(storage: BaseStorage, shown: str = "storage") -> BaseStorage:
    """The same storage, whose calls are repeated while it does not answer: a database restarts within minutes.

    What it answers is held against what a study writes (:mod:`mythos_lab.search.stored`).

    A call whose answer was lost is made twice. That may leave a running trial that no worker knows of, which is
    reaped like one whose worker died.
    """
    kept: BaseStorage = _Patient(storage, Reader(shown))
    return kept


_OF_A_TRIAL = ("get_trial_params", "get_trial_user_attrs", "get_trial_system_attrs", "get_best_trial")


def _keep(self: Any, inner: BaseStorage, reader: Reader) -> None:
    self.inner, self.reader = inner, reader


def _forwarded(name: str) -> Callable[..., Any]:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        with self.reader.reading(name):
            answer = _patiently(self.reader.shown, getattr(self.inner, name), *args, **kwargs)
        return self.reader.checked(name, answer)

    return call


_Patient: Any = type(
    "_Patient",
    (BaseStorage,),
    {
        "__init__": _keep,
        **{name: _forwarded(name) for name in dir(BaseStorage) if not name.startswith("_")},
        # Optuna's own, which ask for the trial.
        **{name: getattr(BaseStorage, name) for name in _OF_A_TRIAL},
    },
)


def _patiently(shown: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    patience = Patience(shown)
    while True:
        try:
            answer = call(*args, **kwargs)
        except Exception as error:
            if not (is_transient(error) and patience.wait(error)):
                raise
        else:
            patience.answered()
            return answer


def is_transient(error: BaseException) -> bool:
    """Whether an error says that the storage is away for the moment, and not that the call was wrong."""
    if isinstance(error, StorageInternalError) and error.__cause__ is not None:
        return is_transient(error.__cause__)
    if _module(error) == "sqlalchemy":
        return type(error).__name__ in _TRANSIENT
    # The proxy's own trouble with its database reaches us as an error that it did not expect.
    code = error.code().name if _module(error) == "grpc" and hasattr(error, "code") else ""
    return code in ("UNAVAILABLE", "DEADLINE_EXCEEDED") or (code == "UNKNOWN" and "OperationalError" in str(error))


def _module(error: BaseException) -> str:
    return type(error).__module__.split(".")[0]
