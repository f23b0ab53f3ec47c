"""The store in a database of its own URL or engine, with SQLAlchemy."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from flask_whop.errors import ConfigError, StoreUnavailable
from flask_whop.forks import process, renew_after_fork
from flask_whop.stores import rows as statement_rows
from flask_whop.stores.database import (
    Database,
    DatabaseClock,
    faults_named,
    persisted,
)
from flask_whop.stores.driver import DriverDatabase
from flask_whop.stores.engines import Pool, check_pooler, is_direct, make_engine
from flask_whop.stores.lookups import ResultT
from flask_whop.stores.migrations import Tables
from flask_whop.stores.protocol import Lifeline
from flask_whop.stores.rows import Row, Values
from flask_whop.stores.sql import SqlStore
from flask_whop.stores.statements import Statements
from flask_whop.stores.waking import Waker

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Engine

_CREATING_TRIES: Final = 4
_CREATING_PAUSE: Final = 0.3


class SQLAlchemyStore(SqlStore):
    """Remembers in the database of ``url``, or of an ``engine`` of the host's.

    ``prefix`` begins the names of the four tables. They are made at start unless
    ``create`` is false: then ``flask whop init-db`` makes them, or Alembic, which finds them
    in ``metadata``: the host's if it is given, the store's own otherwise.

    Leases use the database's clock, unless ``clock`` is given. A process has up to
    ``pool_size`` connections to a URL, none of which is held while a receiver runs; a thread
    waits up to ``pool_wait`` seconds for one.
    """

    def __init__(  # noqa: PLR0913  # each by name
        self,
        engine: str | URL | Engine,
        *,
        prefix: str = "whop_",
        metadata: sa.MetaData | None = None,
        create: bool = True,
        pool_size: int = Pool().size,
        pool_wait: float = Pool().seconds,
        clock: Callable[[], float] | None = None,
    ) -> None:
        super().__init__(clock=clock or DatabaseClock())
        self._pool = Pool(pool_size, pool_wait)
        if not re.fullmatch(r"[A-Za-z0-9_]{0,30}", prefix):
            raise ConfigError(f"prefix has to be up to 30 letters, digits and underscores; it is {prefix!r}.")
        self._given = engine
        self._create = create
        self._owned = True
        self._tables = Tables(prefix, metadata if metadata is not None else sa.MetaData())
        self.metadata: sa.MetaData = self._tables.deliveries.metadata
        self._databases: WeakKeyDictionary[Engine, Database] = WeakKeyDictionary()
        self._renew_lock()
        renew_after_fork(self._renew_lock)
        self._opened_in = process.current

    def _renew_lock(self) -> None:
        self._lock = Lock()

    def open(self, *, owned: bool, keep_bodies: bool) -> None:
        """Reach the database, and make or migrate the tables."""
        self._owned = owned
        self._keeps_bodies = keep_bodies
        self._opened_in = process.current
        try:
            self._database()
        except StoreUnavailable as error:
            self.close()
            raise ConfigError(
                f"WHOP_STORE: the database can't be used ({error.__cause__}). Start it, or correct the URL; the app"
                " doesn't start without its store."
            ) from None
        except ConfigError:
            self.close()
            raise
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"WHOP_STORE: the database's driver rejects the URL ({type(error).__name__}). Check what follows its"
                " question mark."
            ) from None

    def create_tables(self) -> None:
        """Make the missing tables, and migrate older ones."""
        engine = self._engine
        for _ in range(_CREATING_TRIES):
            try:
                self._create_tables(engine)
            except StoreUnavailable:
                # Another process is making them; they will be there in a moment.
                time.sleep(_CREATING_PAUSE)
            else:
                return
        self._create_tables(engine)

    def _create_tables(self, engine: Engine) -> None:
        with faults_named():
            self._tables.create(engine)

    @property
    def _engine(self) -> Engine:
        return self._own_engine

    @cached_property
    def _own_engine(self) -> Engine:
        if isinstance(self._given, sa.Engine):
            return self._given
        engine = make_engine(self._given, owned=self._owned, pool=self._pool)
        check_pooler(engine)
        return engine

    def _database(self) -> Database:
        """Return the database, with its tables; checked when it is first used, and its clock measured once."""
        engine = self._engine
        database = self._databases.get(engine)
        if database is None:
            with self._lock:
                database = self._databases.get(engine) or self._reach(engine)
                self._databases[engine] = database
        return database

    def _reach(self, engine: Engine) -> Database:
        kind = DriverDatabase if is_direct(engine) else Database
        database = kind(engine, self._tables.names(engine.dialect), self.clock, opened_in=self._opened_in)
        with database.transaction():
            pass  # it can be reached; and after a fork, the parent's connections are dropped first
        if self._create:
            self.create_tables()
        else:
            with faults_named(), engine.connect() as connection:
                self._tables.version(connection)
                self._tables.check(connection)
        return database

    @property
    def _statements(self) -> Statements:
        return self._database().statements

    def _now(self) -> float:
        self._database().measure()
        return self.clock()

    def _select(self, statement: str, values: Values) -> Sequence[Row]:
        return self._database().rows(statement, values)

    def _returning(self, statement: str, values: Values) -> Sequence[Row]:
        return self._database().rows(statement, values)

    def _change(self, statement: str, values: Values) -> int:
        return self._database().change(statement, values)

    def _transact(self, job: Callable[[statement_rows.Connection], ResultT]) -> ResultT:
        return self._database().transact(job)

    def announce(self, endpoint: str) -> None:
        """Wake the workers that listen to PostgreSQL."""
        self._database().announce(endpoint)

    def waker(self, endpoint: str) -> Waker:
        """Return what listens to PostgreSQL, if its driver can."""
        return self._database().waker(endpoint)

    def lifeline(self) -> Lifeline:
        """Return what renews the claims in the database of this app."""
        return self._database()

    def close(self) -> None:
        """Close the idle connections; the next use opens new ones."""
        for database in list(self._databases.values()):
            database.rest()
            database.engine.dispose()
        if "_own_engine" in self.__dict__ and self._own_engine is not self._given:
            self._own_engine.dispose()  # it was reached, and refused

    def _persist(self, call: Callable[[], ResultT]) -> ResultT:
        """Call again what was refused by a deadlock, or whose connection was lost."""
        return persisted(call)
