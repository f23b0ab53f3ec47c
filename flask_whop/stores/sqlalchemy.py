"""Stores by SQLAlchemy: PostgreSQL, MySQL and MariaDB by URL, and the host's own session.

::

    pip install "flask-whop[postgresql]"     # or [mysql], or [sqlalchemy] with a driver of your own
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache, cached_property, partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, cast

from flask_whop.errors import ConfigError, MissingExtraError, StoreUnavailable
from flask_whop.stores.protocol import (
    FINISHED,
    Accepted,
    Arrival,
    Claim,
    Key,
    Receipt,
    Settlement,
    State,
    Taken,
)
from flask_whop.stores.sql import VERSION, Row, SqlStore, Values, check_version
from flask_whop.stores.statements import MySQLStatements, Statements

try:
    import sqlalchemy as sa
    from sqlalchemy.dialects import mysql
    from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
except ImportError:
    raise MissingExtraError('A store in this database needs: pip install "flask-whop[sqlalchemy]"') from None

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, CursorResult, Engine

CONNECT_SECONDS: Final = 3
"""How long to wait for a connection: less than the 5 seconds within which Whop wants its answer."""

_REPEATS: Final = 2
_CREATING_TRIES: Final = 4
_CREATING_PAUSE: Final = 0.3
_DEADLOCKS: Final = {"40P01", "40001", 1213}

ResultT = TypeVar("ResultT")

_DRIVERS: Final = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"} | {
    name: f"{name}+pymysql" for name in ("mysql", "mariadb")
}
_EXTRAS: Final = {"postgresql": "postgresql", "mysql": "mysql", "mariadb": "mysql"}


class Session(Protocol):
    """What is needed of a session: Flask-SQLAlchemy's ``db.session``, or any ``scoped_session``."""

    def get_bind(self) -> Any:
        """The engine, or the connection, that the session works on."""
        ...

    def execute(self, statement: Any, params: Any = None) -> Any:
        """Run a statement in the session's transaction."""
        ...

    def commit(self) -> None:
        """Commit the session's transaction."""
        ...

    def rollback(self) -> None:
        """Undo the session's transaction."""
        ...


class SQLAlchemyStore(SqlStore):
    """Remembers in the database of ``url``, or of an ``engine`` of the host's.

    ``prefix`` begins the names of the three tables. They are made at start unless
    ``create`` is false: then ``flask whop init-db`` makes them, or Alembic does, which
    finds them in ``metadata``: that of the host if it is given, and one of the store's
    own otherwise.
    """

    def __init__(
        self,
        engine: str | URL | Engine,
        *,
        prefix: str = "whop_",
        metadata: sa.MetaData | None = None,
        create: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(clock=clock)
        if not re.fullmatch(r"[A-Za-z0-9_]{0,30}", prefix):
            raise ConfigError(f"prefix has to be up to 30 letters, digits and underscores; it is {prefix!r}.")
        self._given = engine
        self._create = create
        self._durable = True
        self._prefix = prefix
        self.metadata: sa.MetaData = tables(prefix, metadata if metadata is not None else sa.MetaData())
        self._keeps_bodies = True
        self._ready_in: int | None = None
        self._lock = Lock()

    def open(self, *, durable: bool, keep_bodies: bool) -> None:
        """Reach the database, and make or migrate the tables."""
        self._durable = durable
        self._keeps_bodies = keep_bodies
        try:
            self._make_ready()
        except StoreUnavailable as error:
            raise ConfigError(
                f"WHOP_STORE: the database cannot be used ({error.__cause__}). Start it, or correct the URL; the app"
                " does not start without the place where deliveries are kept."
            ) from None

    def create_tables(self) -> None:
        """Make the tables that are not there, and migrate those that are older."""
        for _ in range(_CREATING_TRIES):
            try:
                self._create_tables()
            except StoreUnavailable:
                # Another process makes them at the same time; in a moment they are there.
                time.sleep(_CREATING_PAUSE)
            else:
                return
        self._create_tables()

    def _create_tables(self) -> None:
        with self._faults_named(), self._engine.begin() as connection:
            version = self._version(connection)
            check_version(version, str(self._engine.url))
            self.metadata.create_all(connection, tables=self._tables, checkfirst=True)
            if version < VERSION:
                schema = self._tables[-1]
                connection.execute(schema.delete())
                connection.execute(schema.insert().values(version=VERSION))

    @cached_property
    def _tables(self) -> list[sa.Table]:
        return [self.metadata.tables[self._prefix + name] for name in ("deliveries", "receipts", "schema")]

    @cached_property
    def _engine(self) -> Engine:
        return make_engine(self._given) if not isinstance(self._given, sa.Engine) else self._given

    @cached_property
    def _singles(self) -> Engine:
        """The engine for single statements, which are transactions of their own without being told."""
        return self._engine.execution_options(isolation_level="AUTOCOMMIT")

    def _version(self, connection: sa.Connection) -> int:
        schema = self._tables[-1]
        if not sa.inspect(connection).has_table(schema.name):
            return 0
        return connection.scalar(sa.select(schema.c.version)) or 0

    def _make_ready(self) -> None:
        """Prepare this process: anew after a fork, whose connections are the parent's."""
        with self._lock:
            if self._ready_in == os.getpid():
                return
            if self._ready_in is None:
                self._statements = _statements(self._engine.dialect.name, self._prefix)
                self._keep_bodies(self._keeps_bodies)
                if self._create:
                    self.create_tables()
                else:
                    self._check_tables()
            else:
                self._engine.dispose(close=False)
            self._ready_in = os.getpid()

    def _check_tables(self) -> None:
        with self._faults_named(), self._engine.connect() as connection:
            version = self._version(connection)
        check_version(version, str(self._engine.url))

    @contextmanager
    def _single(self) -> Iterator[_Connection]:
        with self._connected(self._singles.connect) as connection:
            yield connection

    @contextmanager
    def _transaction(self) -> Iterator[_Connection]:
        with self._connected(self._engine.begin) as connection:
            yield connection

    @contextmanager
    def _connected(self, connect: Callable[[], AbstractContextManager[sa.Connection]]) -> Iterator[_Connection]:
        if self._ready_in != os.getpid():
            self._make_ready()
        with self._faults_named(), connect() as connection:
            if not self._durable and connection.dialect.name == "postgresql":
                self._relax(connection)
            yield _Connection(connection)

    def _relax(self, connection: sa.Connection) -> None:
        """Let PostgreSQL answer before the disk does; once for each of its connections.

        The retry is still Whop's: what a power cut forgets is sent again, or had been
        done.
        """
        info = connection.connection.info
        if "whop_relaxed" not in info:
            connection.exec_driver_sql("SET synchronous_commit = off")
            info["whop_relaxed"] = True

    @contextmanager
    def _faults_named(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise StoreUnavailable("The store cannot be used at the moment; its database says why.") from error

    def close(self) -> None:
        """Close the connections that nobody uses; the next use opens anew."""
        self._engine.dispose()

    # What was refused by a deadlock, or whose connection was lost, is done once more. Each of
    # these may be repeated even if the first try had reached the database after all.

    def claim(self, arrival: Arrival, token: str, lease: float) -> Claim:
        """Take a delivery for processing while its sender waits."""
        return _persist(partial(super().claim, arrival, token, lease))

    def accept(self, arrival: Arrival, due_in: float) -> Accepted:
        """Make a delivery ours."""
        return _persist(partial(super().accept, arrival, due_in))

    def take(self, key: Key, token: str, lease: float, *, early: bool = False) -> Taken | None:
        """Claim a delivery that is due, or whose lease ran out."""
        return _persist(partial(super().take, key, token, lease, early=early))

    def record(self, key: Key, token: str, receipt: Receipt, settlement: Settlement | None) -> None:
        """Keep a receipt, and end the claim if asked to."""
        _persist(partial(super().record, key, token, receipt, settlement))

    def settle(self, key: Key, token: str, settlement: Settlement) -> None:
        """End a claim."""
        _persist(partial(super().settle, key, token, settlement))


class SessionStore(SQLAlchemyStore):
    """Remembers in the host's own database, and commits each receipt with its receiver's writes.

    ``session`` is Flask-SQLAlchemy's ``db.session``, or any ``scoped_session``. When a
    receiver returns, its receipt is added to the session's transaction and that is
    committed: either both are there afterwards, or neither. When it raises, the
    transaction is rolled back. A receiver that commits by itself parts the two.
    """

    def __init__(
        self,
        session: Session,
        *,
        prefix: str = "whop_",
        metadata: sa.MetaData | None = None,
        create: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__("", prefix=prefix, metadata=metadata, create=create, clock=clock)
        self._session = session

    def open(self, *, durable: bool, keep_bodies: bool) -> None:  # noqa: ARG002  # see below
        """Note what is wanted; the session's engine is known once the app runs."""
        # The commits are the host's as well, so that they are never relaxed.
        self._durable = True
        self._keeps_bodies = keep_bodies

    @cached_property
    def _engine(self) -> Engine:
        bind = self._session.get_bind()
        return cast("Engine", getattr(bind, "engine", bind))

    def record(self, key: Key, token: str, receipt: Receipt, settlement: Settlement | None) -> None:
        """Commit a receipt with the receiver's writes, or roll them back."""
        if receipt.state in FINISHED and receipt.error is None:
            if self._ready_in != os.getpid():
                self._make_ready()
            joined = _Connection(self._session)
            self._write_receipt(joined, key, receipt)
            if settlement is not None:
                self._write_settlement(joined, key, token, settlement)
            self._commit()
        else:
            self._session.rollback()
            super().record(key, token, receipt, settlement)

    def settle(self, key: Key, token: str, settlement: Settlement) -> None:
        """End a claim; what a receiver wrote that was interrupted is undone first.

        Its transaction may hold the very row that is to be written here.
        """
        if settlement.state is not State.DONE:
            self._session.rollback()
        super().settle(key, token, settlement)

    def _commit(self) -> None:
        try:
            self._session.commit()
        except BaseException as error:
            self._session.rollback()
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                raise StoreUnavailable("The connection was lost while a receiver's writes were committed.") from error
            raise


class _Connection:
    """A connection of SQLAlchemy's, or a session, as the statements want it."""

    def __init__(self, connection: sa.Connection | Session) -> None:
        self._connection = connection

    def rows(self, statement: str, values: Values) -> Sequence[Row]:
        return cast("CursorResult[Any]", self._connection.execute(_text(statement), dict(values))).fetchall()

    def change(self, statement: str, values: Values) -> int:
        return cast("CursorResult[Any]", self._connection.execute(_text(statement), dict(values))).rowcount


@cache
def _text(statement: str) -> sa.TextClause:
    return sa.text(statement)


def _persist(call: Callable[[], ResultT]) -> ResultT:
    for _ in range(_REPEATS):
        try:
            return call()
        except StoreUnavailable as error:
            if not _may_pass(error.__cause__):
                raise
    return call()


def _may_pass(error: BaseException | None) -> bool:
    """Whether a database error is one that is gone when the same is tried again."""
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    code = getattr(error.orig, "sqlstate", None) or (error.orig.args[:1] or ("",))[0] if error.orig else None
    return code in _DEADLOCKS


def make_engine(url: str | URL) -> Engine:
    """The engine for ``url``, with a driver that its extra installs and with time limits.

    Raises :class:`~flask_whop.errors.ConfigError` for a URL that is none, and
    :class:`~flask_whop.errors.MissingExtraError` for a driver that is not installed.
    """
    try:
        parsed = sa.make_url(url)
        parsed = parsed.set(drivername=_DRIVERS.get(parsed.drivername, parsed.drivername))
        name = parsed.get_backend_name()
        arguments: dict[str, object] = {"connect_timeout": CONNECT_SECONDS} if name in _EXTRAS else {}
        if name == "postgresql":
            arguments["options"] = f"-c lock_timeout={CONNECT_SECONDS}s"
        limits = {"pool_timeout": CONNECT_SECONDS} if name in _EXTRAS else {}
        return sa.create_engine(parsed, connect_args=arguments, **limits)
    except (ArgumentError, NoSuchModuleError):
        raise ConfigError(
            "WHOP_STORE is no URL of a database that is known. Write memory://, sqlite:///whop.sqlite3,"
            " postgresql://user:password@host/database, or mysql://user:password@host/database."
        ) from None
    except ImportError as error:
        extra = _EXTRAS.get(sa.make_url(url).get_backend_name(), "sqlalchemy")
        raise MissingExtraError(f'WHOP_STORE needs {error.name}: pip install "flask-whop[{extra}]"') from None


def tables(prefix: str, metadata: sa.MetaData) -> sa.MetaData:
    """Add the tables to ``metadata``, unless they are there."""
    if f"{prefix}deliveries" in metadata.tables:
        return metadata
    # Ids and names differ by case, which MySQL's usual collations overlook.
    name = sa.String(255).with_variant(
        mysql.VARCHAR(255, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb"
    )
    short = sa.String(64).with_variant(
        mysql.VARCHAR(64, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb"
    )
    body = sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")
    text = sa.Text().with_variant(mysql.TEXT(charset="utf8mb4"), "mysql", "mariadb")
    deliveries = sa.Table(
        f"{prefix}deliveries",
        metadata,
        sa.Column("endpoint", short, primary_key=True),
        sa.Column("id", name, primary_key=True),
        sa.Column("event_type", name, nullable=False),
        sa.Column("account_id", name),
        sa.Column("resource", name),
        sa.Column("occurred_at", sa.Double()),
        sa.Column("state", short, nullable=False),
        sa.Column("owned", sa.SmallInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("received_at", sa.Double(), nullable=False),
        sa.Column("opened_at", sa.Double(), nullable=False),
        sa.Column("changed_at", sa.Double(), nullable=False),
        sa.Column("due_at", sa.Double()),
        sa.Column("lease", short),
        sa.Column("lease_until", sa.Double()),
        sa.Column("signed_at", sa.BigInteger(), nullable=False),
        sa.Column("secret_index", sa.Integer(), nullable=False),
        sa.Column("body", body),
    )
    unfinished = deliveries.c.state != "done"
    sa.Index(
        f"{prefix}deliveries_unfinished",
        *(deliveries.c[column] for column in ("endpoint", "state", "due_at")),
        postgresql_where=unfinished,
        sqlite_where=unfinished,
    )
    sa.Index(f"{prefix}deliveries_received", deliveries.c.endpoint, deliveries.c.received_at)
    sa.Index(f"{prefix}deliveries_resource", deliveries.c.endpoint, deliveries.c.resource, deliveries.c.occurred_at)
    sa.Table(
        f"{prefix}receipts",
        metadata,
        sa.Column("endpoint", short, primary_key=True),
        sa.Column("delivery_id", name, primary_key=True),
        sa.Column("receiver", name, primary_key=True),
        sa.Column("state", short, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.Double(), nullable=False),
        sa.Column("last_at", sa.Double(), nullable=False),
        sa.Column("due_at", sa.Double()),
        sa.Column("error", text),
    )
    sa.Table(f"{prefix}schema", metadata, sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False))
    return metadata


def _statements(dialect: str, prefix: str) -> Statements:
    return MySQLStatements(prefix) if dialect in ("mysql", "mariadb") else Statements(prefix)
