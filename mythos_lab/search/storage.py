"""Where a study lives: a journal in its folder, a database, or Optuna's gRPC proxy; and patience with all of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, GrpcStorageProxy, JournalStorage, RDBStorage, get_storage
from optuna.storages.journal import JournalFileBackend

from mythos_lab.recipe.errors import RecipeError

_PATIENCE_SECONDS = 600.0
_LONGEST_PAUSE_SECONDS = 10.0
_SCHEMES = ("journal:///path", "sqlite:///path", "postgresql+psycopg://", "mysql+pymysql://", "grpc://host:port")


def open_storage(url: str | None, folder: Path) -> BaseStorage:
    """The storage that a URL names.

    Args:
        url: A path after ``journal://``, a database's URL as SQLAlchemy takes it, or ``grpc://host:port``; ``None``
            is a journal in the folder.
        folder: The study's folder.

    Raises:
        RecipeError: No such kind of storage, a driver that is not installed, or a database that does not answer.
    """
    try:
        return patient(_open(url, folder))
    except (ImportError, ValueError, StorageInternalError) as error:
        if isinstance(error, RecipeError):
            raise
        raise RecipeError(f"storage {without_password(url or '')}: {' '.join(str(error).split())[:200]}") from None
    except Exception as error:  # what a driver raises where the database cannot be reached is its own affair
        if _module(error) not in ("sqlalchemy", "psycopg", "pymysql", "grpc"):
            raise
        raise RecipeError(f"storage {without_password(url or '')}: {' '.join(str(error).split())[:200]}") from None


def without_password(url: str) -> str:
    """A storage's URL as it may be shown and written down."""
    before, at, after = url.rpartition("@")
    scheme, slashes, login = before.partition("://")
    return f"{scheme}{slashes}{login.split(':')[0]}@{after}" if at else url


def _open(url: str | None, folder: Path) -> BaseStorage:
    scheme, _, rest = (url or "").partition("://")
    if url is None or scheme == "journal":
        path = Path(rest) if rest else folder / "journal.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(str(path)))
    if scheme == "grpc":
        host, _, port = rest.partition(":")
        if not port.isdigit():
            raise RecipeError(f"storage {url}: expected grpc://host:port")
        proxy = GrpcStorageProxy(host=host, port=int(port))
        proxy.wait_server_ready(timeout=30)
        return proxy
    if scheme.split("+")[0] not in ("sqlite", "postgresql", "mysql"):
        raise RecipeError(f"storage {without_password(url)}: expected one of: {', '.join(_SCHEMES)}")
    # A connection that died with the database is noticed before it is used. SQLite's writers wait for each other.
    options: dict[str, Any] = {"pool_pre_ping": True}
    if scheme == "sqlite":
        Path(rest[1:]).parent.mkdir(parents=True, exist_ok=True)
        options["connect_args"] = {"timeout": 60}
    return get_storage(RDBStorage(url, engine_kwargs=options))


def patient(storage: BaseStorage) -> BaseStorage:
    """The same storage, whose calls are repeated while it does not answer: a database restarts within minutes.

    A call whose answer was lost is made twice. That may leave a running trial that no worker knows of, which is
    reaped like one whose worker died.
    """
    kept: BaseStorage = _Patient(storage)
    return kept


def _forwarded(name: str) -> Callable[..., Any]:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return _patiently(getattr(self.inner, name), *args, **kwargs)

    return call


_Patient: Any = type(
    "_Patient",
    (BaseStorage,),
    {
        "__init__": lambda self, inner: setattr(self, "inner", inner),
        **{name: _forwarded(name) for name in dir(BaseStorage) if not name.startswith("_")},
    },
)


def _patiently(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    pause, waited = 0.1, 0.0
    while True:
        try:
            return call(*args, **kwargs)
        except Exception as error:
            if waited >= _PATIENCE_SECONDS or not is_transient(error):
                raise
        time.sleep(pause)
        waited, pause = waited + pause, min(2 * pause, _LONGEST_PAUSE_SECONDS)


def is_transient(error: BaseException) -> bool:
    """Whether an error says that the storage is away for the moment, and not that the call was wrong."""
    if isinstance(error, StorageInternalError) and error.__cause__ is not None:
        return is_transient(error.__cause__)
    if _module(error) == "sqlalchemy":
        return type(error).__name__ in ("OperationalError", "InterfaceError", "InternalError", "TimeoutError")
    return _module(error) == "grpc"


def _module(error: BaseException) -> str:
    return type(error).__module__.split(".")[0]
