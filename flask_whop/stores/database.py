"""One database as a process reaches it with SQLAlchemy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache, cached_property, partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Protocol, cast
from weakref import ref

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DataError, DBAPIError, SQLAlchemyError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import SingletonThreadPool, StaticPool

from flask_whop.errors import StoreUnavailable
from flask_whop.forks import process, renew_after_fork
from flask_whop.stores import rows as statement_rows
from flask_whop.stores.engines import CONNECT_SECONDS, LOCK_LIMITS, POOLED, file_of, limit_waiting
from flask_whop.stores.files import GONE, Identity, identity
from flask_whop.stores.lookups import ResultT
from flask_whop.stores.protocol import Lifeline
from flask_whop.stores.records import Key, Mark
from flask_whop.stores.rows import Row, Unstorable, Values, held_values, renewed
from flask_whop.stores.statements import Names, PostgreSQLStatements, Statements
from flask_whop.stores.statements_mysql import MariaDBStatements, MySQLStatements
from flask_whop.stores.waking import ListeningWaker, Sleeper, Waker, channel_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import CursorResult, Engine

_NEW_MARIADB: Final = (10, 6)
_MYSQL_TIME = "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) / 1e6"
_TIMES: Final = {
    "postgresql": "SELECT EXTRACT(EPOCH FROM clock_timestamp())",
    "mysql": _MYSQL_TIME,
    "mariadb": _MYSQL_TIME,
}
_LOCAL_LIMIT: Final = f"SET LOCAL lock_timeout = '{CONNECT_SECONDS}s'"
_REPEATS: Final = 2
ANNOUNCE_EVERY: Final = 0.05
"""The seconds between two messages of a process to sleeping workers."""
_DEADLOCKS: Final = {"40P01", "40001", 1213}
_LACKING_TABLE: Final = {"42P01", 1146}


class Executing(Protocol):
    """What runs statements: a SQLAlchemy connection, or a session."""

    def execute(self, statement: Any, params: Any = None, /) -> Any:
        """Run a statement."""
        ...


class DatabaseClock:
    """The unix time of a database, so machines agree on leases whatever their own clocks say.

    Between measurements it follows this machine's monotonic clock, which nobody sets. Before
    the first one, and for databases that are files, it is the machine's own time.
    """

    _EVERY = 60.0
    _JUMP = 1.0

    def __init__(self) -> None:
        self._ahead: float | None = None
        self._measured_at = 0.0
        self._wall = 0.0

    def __call__(self) -> float:
        """The unix time."""
        return time.time() if self._ahead is None else time.monotonic() + self._ahead

    @property
    def is_old(self) -> bool:
        """Whether to measure again: after a minute, or if the machine's clock was set or the machine slept."""
        now = time.monotonic()
        return (
            self._ahead is None
            or now - self._measured_at > self._EVERY
            or abs(time.time() - now - self._wall) > self._JUMP
        )

    def measure(self, read: Callable[[], float]) -> None:
        """Compare with the database's time, which ``read`` returns."""
        before = time.monotonic()
        theirs = read()
        after = time.monotonic()
        self._ahead = theirs - (before + after) / 2
        self._measured_at, self._wall = after, time.time() - after


class Database(Lifeline):
    """An engine, what runs our statements on it, and a separate connection for renewals.

    It measures ``clock`` if that is a :class:`DatabaseClock`. The connections of a parent
    process are never used.
    """

    def __init__(self, engine: Engine, names: Names, clock: Callable[[], float], *, opened_in: object) -> None:
        self._engine = ref(engine)
        self.dialect: str = engine.dialect.name
        self._names = names
        self._now = clock
        self._clock = clock if isinstance(clock, DatabaseClock) and self.dialect in _TIMES else None
        dbapi = engine.dialect.loaded_dbapi
        self._file = None if self.is_in_memory else file_of(engine.url)
        self._driver_error: type[Exception] = dbapi.Error
        self._process = opened_in
        self._renew_lock()
        renew_after_fork(self._renew_lock)
        self._announced_at = 0.0

    def _renew_lock(self) -> None:
        self._lock = Lock()

    @property
    def engine(self) -> Engine:
        """The engine, which only its owner, the host or the store, keeps alive."""
        engine = self._engine()
        if engine is None:
            raise StoreUnavailable("The engine of the store is gone, with the app that it belonged to.")
        return engine

    @cached_property
    def statements(self) -> Statements:
        """Its statements, which depend on the server's version; the server must have been reached before."""
        dialect = self.engine.dialect
        if self.dialect == "postgresql":
            return PostgreSQLStatements(self._names)
        if self.dialect not in ("mysql", "mariadb"):
            return Statements(self._names)
        new = getattr(dialect, "is_mariadb", False) and tuple(dialect.server_version_info or ())[:2] >= _NEW_MARIADB
        return (MariaDBStatements if new else MySQLStatements)(self._names)

    @property
    def is_in_memory(self) -> bool:
        """Whether all connections are one, with which the data would go."""
        return isinstance(self.engine.pool, (SingletonThreadPool, StaticPool))

    @property
    def is_pooled(self) -> bool:
        """Whether a pooler gives each transaction another connection, so no settings may be left on one."""
        return bool(self.engine.get_execution_options().get(POOLED))

    def rows(self, statement: str, values: Values) -> Sequence[Row]:
        """Run one statement that returns rows, as a transaction of its own."""
        with self.single() as connection:
            return connection.rows(statement, values)

    def change(self, statement: str, values: Values) -> int:
        """Run one statement that changes rows, as a transaction of its own; return how many it found."""
        with self.single() as connection:
            return connection.change(statement, values)

    def transact(self, job: Callable[[statement_rows.Connection], ResultT]) -> ResultT:
        """Run several statements: all of it happens, or nothing if ``job`` raises."""
        with self.transaction() as connection:
            return job(connection)

    def single(self) -> AbstractContextManager[Connection]:
        """Reach it for one statement, which is automatically a transaction of its own."""
        return self.transaction() if self.is_pooled else self._connected(self._connect_for_one)

    def transaction(self) -> AbstractContextManager[Connection]:
        """Reach it for several statements: all of them happen, or none."""
        return self._connected(self.engine.begin)

    def renew(self, key: Key, token: str, lease: float, mark: Mark | None = None) -> bool:
        """Hold a claim for ``lease`` seconds from now, over a connection that no receiver can use up."""
        return persisted(partial(self._renew, key, token, lease, mark))

    def _renew(self, key: Key, token: str, lease: float, mark: Mark | None) -> bool:
        with self.apart() as connection:
            return renewed(connection, self.statements, held_values(key, token, mark), self._now() + lease)

    def rest(self) -> None:
        """Close the connection for renewals."""
        if self._process is process.current and not self.is_in_memory and "_renewals" in self.__dict__:
            self._renewals.dispose()

    def apart(self) -> AbstractContextManager[Connection]:
        """Reach it for one statement, over a connection that no receiver can use up."""
        return self._connected(self._renewals.begin if self.is_pooled else self._connect_apart)

    def _connect_for_one(self, engine: Engine | None = None) -> sa.Connection:
        connection = (engine or self.engine).connect()
        try:
            return connection.execution_options(isolation_level="AUTOCOMMIT")
        except self._driver_error:
            # Some drivers ask the database for this. From what they raise, SQLAlchemy can't see
            # that the connection is lost; a statement's error shows it, and renews the whole pool.
            with connection:
                connection.exec_driver_sql("SELECT 1")
            raise

    def _connect_apart(self) -> sa.Connection:
        return self._connect_for_one(None if self.is_in_memory else self._renewals)

    def announce(self, endpoint: str) -> None:
        """Notify the listeners; not every time under load, because it costs as much as accepting."""
        now = time.monotonic()
        if self._listens and now - self._announced_at > ANNOUNCE_EVERY:
            self._announced_at = now
            self.rows("SELECT pg_notify(:channel, '')", {"channel": self._channel(endpoint)})

    def waker(self, endpoint: str) -> Waker:
        """Return what a worker sleeps with."""
        return ListeningWaker(self._connect_to_listen, self._channel(endpoint)) if self._listens else Sleeper()

    @property
    def _listens(self) -> bool:
        return self.dialect == "postgresql" and self.engine.dialect.driver == "psycopg" and not self.is_pooled

    def _channel(self, endpoint: str) -> str:
        return channel_of(self._names.deliveries, endpoint)

    def _connect_to_listen(self) -> Any:
        lent = self.engine.raw_connection()
        connection = lent.driver_connection
        lent.detach()  # from now on it is the worker's, and the pool has room for another
        connection.autocommit = True  # type: ignore[union-attr]  # it is psycopg's
        return connection

    def measure(self) -> None:
        """Compare the clock with the database's, if the last time was long ago, or this machine slept since."""
        if self._clock is not None and self._clock.is_old:
            with self.single():
                pass

    @cached_property
    def _renewals(self) -> Engine:
        """An engine with its own pool, whose connections are made like those of the given engine."""
        engine = sa.create_engine(self.engine.url, pool=self.engine.pool.recreate(), hide_parameters=True)
        if self.dialect in LOCK_LIMITS and not self.is_pooled:
            # One connection serves all claims of this process: a locked row must not block it for long.
            event.listen(engine, "connect", partial(limit_waiting, LOCK_LIMITS[self.dialect]))
        return engine

    @contextmanager
    def _connected(self, connect: Callable[[], AbstractContextManager[sa.Connection]]) -> Iterator[Connection]:
        self.leave_to_parent()
        with self._file_watched() as watch, faults_named(), connect() as raw:
            watch(raw)
            connection = Connection(raw)
            if self.is_pooled:
                connection.change(_LOCAL_LIMIT, {})
            if self._clock is not None and self._clock.is_old:
                self._clock.measure(lambda: float(str(connection.rows(_TIMES[self.dialect], {})[0][0])))
            yield connection

    @contextmanager
    def _file_watched(self) -> Iterator[Callable[[sa.Connection], object]]:
        """Raise if the file that a connection opened is no longer at its path after the writes."""
        opened: list[Identity | None] = []

        def watch(connection: sa.Connection) -> None:
            if self._file is not None:
                opened.append(connection.info.setdefault("flask_whop.file", identity(self._file)))

        try:
            yield watch
        finally:
            if self._file is not None and opened and opened[0] != identity(self._file):
                self.engine.dispose()
                raise StoreUnavailable(GONE.format(self._file))

    def leave_to_parent(self) -> None:
        """Start over after a fork: open connections belong to the parent, which goes on using them."""
        if self._process is process.current:
            return
        with self._lock:
            if self._process is process.current:
                return
            if not self.is_in_memory:
                self.engine.dispose(close=False)
                if "_renewals" in self.__dict__:
                    self._renewals.dispose(close=False)
            self._process = process.current


@contextmanager
def faults_named() -> Iterator[None]:
    """Raise what a database raises as :class:`~flask_whop.errors.StoreUnavailable`."""
    try:
        yield
    except UnicodeError as error:
        raise Unstorable(_NO_TEXT) from error
    except SQLAlchemyError as error:
        if isinstance(error, StatementError):
            error.hide_parameters = True  # they include a payload, and the engine may be the host's
        if isinstance(error, DataError):
            raise Unstorable(_NO_TEXT) from error
        if isinstance(error, PoolTimeout):
            raise StoreUnavailable(_ALL_IN_USE) from error
        raise StoreUnavailable(_NO_TABLES if _lacks_table(error) else _NOT_NOW) from error


_NO_TEXT = "The database can't store a text as it is."
_ALL_IN_USE = (
    "All of this process's connections to the store's database were in use for too long. WHOP_STORE_POOL_SIZE allows"
    " more; a SessionStore uses those of the app's own engine."
)
_NOT_NOW = "The store can't be used now; its database says why."
_NO_TABLES = (
    "The store's tables don't exist. Make them with `flask whop init-db`; if they belong to the app's own"
    " metadata, its migrations or db.create_all() make them too."
)


def _lacks_table(error: SQLAlchemyError) -> bool:
    codes = codes_of(error)
    return not codes.isdisjoint(_LACKING_TABLE) or any(str(code).startswith("no such table") for code in codes)


def codes_of(error: BaseException | None) -> set[object]:
    """Return the codes of a driver's error, under the names of psycopg, psycopg2, MySQL's drivers, and pg8000."""
    if not isinstance(error, DBAPIError) or error.orig is None:
        return set()
    detail = error.orig.args[0] if error.orig.args else None
    return {
        getattr(error.orig, "sqlstate", None),
        getattr(error.orig, "pgcode", None),
        detail.get("C") if isinstance(detail, dict) else detail,
    }


class Connection:
    """A SQLAlchemy connection, or a session, for the statements."""

    def __init__(self, connection: Executing) -> None:
        self._connection = connection

    def rows(self, statement: str, values: Values) -> Sequence[Row]:
        """Run a statement that returns rows."""
        return cast("CursorResult[Any]", self._connection.execute(_text(statement), dict(values))).fetchall()

    def change(self, statement: str, values: Values) -> int:
        """Run a statement that changes rows; return how many it found."""
        return cast("CursorResult[Any]", self._connection.execute(_text(statement), dict(values))).rowcount


@cache
def _text(statement: str) -> sa.TextClause:
    return sa.text(statement)


def was_cut(error: BaseException | None) -> bool:
    """Return whether a database error says that the connection is lost."""
    return isinstance(error, DBAPIError) and error.connection_invalidated


def persisted(call: Callable[[], ResultT]) -> ResultT:
    """Call what may be repeated; call it again, up to twice, after a deadlock or a lost connection."""
    for _ in range(_REPEATS):
        try:
            return call()
        except StoreUnavailable as error:
            cause = error.__cause__
            if not was_cut(cause) and codes_of(cause).isdisjoint(_DEADLOCKS):
                raise
    return call()
