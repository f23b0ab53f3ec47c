"""The default store: one SQLite file, with the standard library."""

from __future__ import annotations

import logging
import os
import random
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from flask_whop.errors import ConfigError, StoreUnavailable
from flask_whop.forks import process
from flask_whop.stores import schema
from flask_whop.stores.files import GONE, FileWaker, Identity, identity, make_private
from flask_whop.stores.group_commit import GroupCommit, Wish
from flask_whop.stores.lookups import ResultT
from flask_whop.stores.rows import Connection, Row, Select, Values
from flask_whop.stores.schema import Kind
from flask_whop.stores.sql import SqlStore
from flask_whop.stores.statements import Names, SqliteStatements
from flask_whop.stores.waking import Waker

log: logging.Logger = logging.getLogger("flask_whop")

BUSY_SECONDS: Final = 3.0
"""How long to wait for another writer: less than the 5 seconds within which Whop wants its answer."""

_WAL_PAUSE: Final = 0.02
_SHORTEST_PAUSE: Final = 0.0003
_LONGEST_PAUSE: Final = 0.003
_CHECKPOINT_PAGES: Final = 4000
_OLDEST_SQLITE: Final = (3, 35, 0)  # the first that has RETURNING

_LARGE: Final = 16_384
_NAMES: Final = Names("whop_deliveries", "whop_receipts", "whop_marks", "whop_notes", "whop_tallies")
_STATEMENTS: Final = SqliteStatements(_NAMES, "whop_bodies")

_NO_VALUES: Final[Values] = {}
PREFIX: Final = "whop_"
_BODIES: Final = (
    (
        "CREATE TABLE IF NOT EXISTS whop_bodies"
        " (endpoint TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (id, endpoint))"
    ),
    (
        "CREATE TRIGGER IF NOT EXISTS whop_bodies_dropped AFTER UPDATE OF body ON whop_deliveries WHEN NEW.body IS NULL"
        " BEGIN DELETE FROM whop_bodies WHERE endpoint = OLD.endpoint AND id = OLD.id; END"
    ),
    (
        "CREATE TRIGGER IF NOT EXISTS whop_bodies_forgotten AFTER DELETE ON whop_deliveries"
        " BEGIN DELETE FROM whop_bodies WHERE endpoint = OLD.endpoint AND id = OLD.id; END"
    ),
)
"""The table of large bodies, which are deleted with their deliveries."""
_TYPES: Final = {
    **dict.fromkeys((Kind.SHORT, Kind.NAME, Kind.TEXT), "TEXT"),
    Kind.NUMBER: "REAL",
    Kind.WHOLE: "INTEGER",
    Kind.BYTES: "BLOB",
}


class SqliteStore(SqlStore):
    """Remembers in the SQLite file ``path``, which is made if it is missing.

    The file is in WAL mode, so its folder must be on a disk of this machine, not on a network
    share. If deliveries are owned, each transaction is on the disk before it is answered
    (``synchronous=FULL``). Otherwise (``NORMAL``) a power cut may lose the last ones, which
    Whop sends again or which were done. A crash of the process loses nothing either way.
    """

    def __init__(self, path: str | os.PathLike[str], *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock=clock)
        self.path: Path = Path(path)
        self._owned = True
        self._process = process.current
        # A user takes the connection that was used last, so there are never more of them than
        # simultaneous users, even if each request has its own thread.
        self._idle: deque[_FileConnection] = deque()
        self._inherited: list[_FileConnection] = []
        self._group: GroupCommit[Connection] = GroupCommit(self._commit_one, self._commit_all, patience=BUSY_SECONDS)

    def open(self, *, owned: bool, keep_bodies: bool) -> None:
        """Make the file ready: create its tables, or migrate them."""
        self._owned = owned
        self._keeps_bodies = keep_bodies
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise ConfigError(
                f"WHOP_STORE needs SQLite 3.35 or later, and this Python has {sqlite3.sqlite_version}."
                " Update it, or give the URL of another database."
            )
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            make_private(self.path)
            self._make_tables()
        except (OSError, StoreUnavailable) as error:
            raise ConfigError(
                f"WHOP_STORE: {self.path} can't be written ({error.__cause__ or error}). Make its folder writable"
                " for the user that the app runs as, or set WHOP_STORE to another place:"
                " sqlite:////var/lib/shop/whop.sqlite3, or postgresql://…"
            ) from None

    def _make_tables(self) -> None:
        try:
            self._transact(partial(_migrate, self.path))
        except StoreUnavailable as error:
            # Another process, perhaps a frozen one, may hold the file. If there is nothing to
            # make, start anyway: deliveries are answered 503 until it lets go.
            if "locked" not in str(error.__cause__) or not self._has_tables():
                raise
            log.warning("%s is locked by another process; deliveries are answered 503 until it lets go.", self.path)

    def _has_tables(self) -> bool:
        try:
            return _version(self._select, self.path) >= schema.VERSION
        except StoreUnavailable:
            return False

    def waker(self, endpoint: str) -> Waker:  # noqa: ARG002  # it only looks at the file
        """Return what notices when anyone writes to the file."""
        return FileWaker(self.path)

    def _upsert(self, statement: str, values: Values) -> Row | None:
        body = values["body"]
        if not isinstance(body, bytes) or len(body) <= _LARGE:
            return super()._upsert(statement, values)

        def upsert(connection: Connection) -> Sequence[Row]:
            rows = connection.rows(statement, {**values, "body": b""})
            if rows:
                connection.change(_STATEMENTS.keep_large, values)
            return rows

        rows = self._transact(upsert) or self._select(self._statements.standing, values)
        return rows[0] if rows else None

    @property
    def _statements(self) -> SqliteStatements:
        return _STATEMENTS

    def _select(self, statement: str, values: Values) -> Sequence[Row]:
        with _Use(self) as connection:
            return connection.rows(statement, values)

    def _returning(self, statement: str, values: Values) -> Sequence[Row]:
        return self._group.do(lambda connection: connection.rows(statement, values), alone=True)

    def _change(self, statement: str, values: Values) -> int:
        return self._group.do(lambda connection: connection.change(statement, values), alone=True)

    def _transact(self, job: Callable[[Connection], ResultT]) -> ResultT:
        return self._group.do(job)

    def _commit_one(self, job: Callable[[Connection], ResultT], alone: bool) -> ResultT:  # as it is called
        """Do one thread's job; ``alone`` means one statement, which is its own transaction."""
        with _Use(self) as connection:
            if alone:
                return job(connection)
            # IMMEDIATE, because a transaction that reads first and then writes is refused at
            # once, without waiting, if another one has written in between.
            connection.change("BEGIN IMMEDIATE", _NO_VALUES)
            result = job(connection)
            connection.change("COMMIT", _NO_VALUES)
            return result

    def _commit_all(self, wishes: list[Wish[Connection, Any]]) -> None:
        """Do several threads' jobs in one transaction, each with its own savepoint."""
        with _Use(self) as connection:
            connection.change("BEGIN IMMEDIATE", _NO_VALUES)
            for wish in wishes:
                connection.do_apart(wish)
            connection.change("COMMIT", _NO_VALUES)

    def _take(self) -> _FileConnection:
        if self._process is not process.current:
            # Closing a connection of the parent would release the locks of this process, and
            # using it would corrupt the file: keep it, and never touch it again.
            self._inherited += self._idle
            self._idle = deque()
            self._process = process.current
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect()

    def _connect(self) -> _FileConnection:
        try:
            connection = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode=rw",  # only made at start: an empty one would store nothing
                uri=True,
                factory=_FileConnection,
                timeout=0,  # _patiently waits
                isolation_level=None,
                check_same_thread=False,
                cached_statements=64,
            )
            connection.file = identity(self.path)
            _enter_wal(connection)
            connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA synchronous = {'FULL' if self._owned else 'NORMAL'}")
        except sqlite3.Error as error:
            raise _unavailable(error) from error
        return connection

    def _drop(self, connection: sqlite3.Connection) -> None:
        """Close a connection after a fault, which also rolls its transaction back."""
        try:
            connection.close()
        except sqlite3.Error:
            log.debug("A connection to the store couldn't be closed.", exc_info=True)

    def close(self) -> None:
        """Close what is open; the next use opens it again."""
        while self._idle:
            self._drop(self._idle.pop())


class _Use:
    """The use of a connection, which is dropped after a fault, or if its file is gone."""

    __slots__ = ("_connection", "_store")

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self._connection = store._take()  # noqa: SLF001  # ours

    def __enter__(self) -> _FileConnection:
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        store, connection = self._store, self._connection
        if kind is None and connection.file == identity(store.path):
            store._idle.append(connection)  # noqa: SLF001  # ours
            return
        store._drop(connection)  # noqa: SLF001  # ours
        if kind is None:
            store.close()
            raise StoreUnavailable(GONE.format(store.path))
        if isinstance(error, sqlite3.Error):
            raise _unavailable(error) from error


class _FileConnection(sqlite3.Connection):
    """A connection for the statements, which knows which file it opened, whatever is at its path later."""

    file: Identity | None = None

    def rows(self, statement: str, values: Values) -> Sequence[Row]:
        return self._patiently(statement, values).fetchall()

    def change(self, statement: str, values: Values) -> int:
        return self._patiently(statement, values).rowcount

    def do_apart(self, wish: Wish[Connection, Any]) -> None:
        """Do one of several jobs, or undo it and note its error."""
        self.execute("SAVEPOINT one")
        try:
            wish.do(self)
        except Exception as error:
            if not self.in_transaction:
                raise  # such as a full disk, which fails all of them
            self.execute("ROLLBACK TO one")
            wish.error = _unavailable(error) if isinstance(error, sqlite3.Error) else error
        self.execute("RELEASE one")

    def _patiently(self, statement: str, values: Values) -> sqlite3.Cursor:
        """Run a statement; while another process writes, retry soon, out of step with others that wait.

        SQLite's own waiting has pauses that grow to a tenth of a second.
        """
        until = 0.0
        while True:
            try:
                return self.execute(statement, values)
            except sqlite3.OperationalError as error:
                now = time.monotonic()
                until = until or now + BUSY_SECONDS
                if "locked" not in str(error) or now > until:
                    raise
            time.sleep(random.uniform(_SHORTEST_PAUSE, _LONGEST_PAUSE))  # noqa: S311  # guessing it gains nothing


def _enter_wal(connection: sqlite3.Connection) -> None:
    """Put a new file into WAL mode, for which SQLite does not wait for other processes."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(_WAL_PAUSE)
        else:
            return


def _unavailable(error: sqlite3.Error) -> StoreUnavailable:
    return StoreUnavailable(f"The store can't be used now: {error}.")


def _migrate(path: Path, transaction: Connection) -> None:
    """Make the tables, or add what an older release's tables lack."""
    version = _version(transaction.rows, path)
    if version >= schema.VERSION:
        return
    for table in schema.TABLES:
        name = f"{PREFIX}{table.name}"
        known = {row[0] for row in transaction.rows(f"SELECT name FROM pragma_table_info('{name}')", {})}
        if not known:
            parts = [_definition(column) for column in table.columns] + [f"PRIMARY KEY ({', '.join(table.key)})"]
            # Rows that are little more than their keys need only one copy.
            tail = "" if table is schema.DELIVERIES else " WITHOUT ROWID"
            transaction.change(f"CREATE TABLE {name} ({', '.join(parts)}){tail}", {})
        for column in table.columns if known else ():
            if column.name not in known:
                transaction.change(f"ALTER TABLE {name} ADD COLUMN {_definition(column)}", {})
        for index in table.indexes:
            rows = f" WHERE {index.rows}" if index.rows else ""
            columns = ", ".join(index.columns)
            transaction.change(f"CREATE INDEX IF NOT EXISTS {name}_{index.name} ON {name} ({columns}){rows}", {})
    for statement in _BODIES:
        transaction.change(statement, {})
    transaction.change(f"DELETE FROM {PREFIX}schema", {})
    transaction.change(f"INSERT INTO {PREFIX}schema (version, oldest) VALUES ({schema.VERSION}, {schema.OLDEST})", {})


def _version(select: Select, path: Path) -> int:
    """Return the version of the tables in a file; 0 if there are none."""
    if not select("SELECT 1 FROM sqlite_master WHERE name = 'whop_schema'", {}):
        return 0
    rows = select(f"SELECT version, oldest FROM {PREFIX}schema", {})
    if not rows:
        return 0
    version, oldest = (int(str(value)) for value in rows[0])
    schema.check_version(version, oldest, str(path))
    return version


def _definition(column: schema.Column) -> str:
    default = "" if column.default is None else f" DEFAULT '{column.default}'"
    return f"{column.name} {_TYPES[column.kind]}{'' if column.nullable else ' NOT NULL'}{default}"
