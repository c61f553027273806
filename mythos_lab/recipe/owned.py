"""Whether a file that is to be written to as a store is one, or another program's."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import sqlalchemy

from mythos_lab.recipe.errors import Misplaced

_PATIENCE_SECONDS = 60.0  # for another process that writes
_HEADER = b"SQLite format 3\0"


def check_plain(path: Path, what: str) -> bool:
    """Whether there is a file with something in it.

    Args:
        path: The file.
        what: What it is to be, for the message.

    Raises:
        Misplaced: There is something else: a folder, a pipe, a device.
    """
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(found.st_mode):
        raise Misplaced(f"{path}: is no file, and so no {what}; name another")
    return found.st_size > 0


@dataclass(frozen=True)
class Schema:
    """By what a database is known to be a store of ours.

    Attributes:
        what: What it is, for messages.
        core: Tables that it has, with columns of each.
        first: The table that is made first, by which one is known that another process is about to make.
        known: All tables that a store without others may have.
        has_triggers: Whether its own program makes triggers; elsewhere one is a stranger's, and acts by itself.
    """

    what: str
    core: Mapping[str, Collection[str]]
    first: str
    known: Collection[str]
    has_triggers: bool = True

    def admits(self, columns: Mapping[str, Collection[str]]) -> bool:
        """Whether a database of these tables and columns is ours, or empty."""
        right = {table for table, names in self.core.items() if set(names) <= set(columns.get(table, ()))}
        is_begun = self.first in right and set(columns) <= set(self.known)
        return not columns or right == set(self.core) or is_begun


def check_database(path: Path, schema: Schema) -> None:
    """Refuse a SQLite database that another program made, and any other file.

    Args:
        path: The file, which need not exist.
        schema: What it is to be.

    Raises:
        Misplaced: It is not ours.
    """
    if not check_plain(path, schema.what):
        return
    with path.open("rb") as file:
        if file.read(len(_HEADER)) != _HEADER:
            raise Misplaced(f"{path}: is no SQLite database, and so no {schema.what}; name another file")
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, timeout=_PATIENCE_SECONDS)) as there:
            tables = [name for (name,) in there.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            columns = {name: _columns(there, name) for name in tables if not name.startswith("sqlite_")}
            acting = there.execute("SELECT name FROM sqlite_master WHERE type IN ('trigger', 'view')").fetchone()
    except sqlite3.Error as error:
        raise Misplaced(f"{path}: cannot be read as a SQLite database: {error}") from None
    if acting is not None and not schema.has_triggers:
        raise Misplaced(f"{path}: has the trigger or view {acting[0]!r}, which no {schema.what} has; name another file")
    _check(columns, schema, str(path))


def check_server(engine: sqlalchemy.Engine, schema: Schema) -> None:
    """Refuse a server's database that holds another program's tables, and not ours.

    Raises:
        Misplaced: It does.
        sqlalchemy.exc.SQLAlchemyError: The server does not answer.
    """
    found = sqlalchemy.inspect(engine)
    tables = found.get_table_names()
    columns = {name: [c["name"] for c in found.get_columns(name)] if name in schema.core else () for name in tables}
    _check(columns, schema, engine.url.render_as_string(hide_password=True))


def _check(columns: Mapping[str, Collection[str]], schema: Schema, shown: str) -> None:
    if not schema.admits(columns):
        some = ", ".join(sorted(columns)[:3])
        raise Misplaced(f"{shown}: is another program's database (with {some}), and no {schema.what}; name another")


def _columns(database: sqlite3.Connection, table: str) -> list[str]:
    return [name for _, name, *_ in database.execute("SELECT * FROM pragma_table_info(?)", (table,))]
