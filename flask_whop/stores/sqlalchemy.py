"""Stores by SQLAlchemy: PostgreSQL, MySQL and MariaDB by URL, and the host's own session.

::

    pip install "flask-whop[postgresql]"     # or [mysql], or [sqlalchemy] with a driver of your own
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Protocol, cast
from weakref import WeakKeyDictionary, WeakSet

from flask_whop.errors import ConfigError, MissingExtraError, NotJoined, StaleEvent, StoreUnavailable
from flask_whop.forks import process, renew_after_fork
from flask_whop.stores import sql
from flask_whop.stores.protocol import (
    Arrival,
    Claim,
    Key,
    Lifeline,
    Mark,
    Receipt,
    ReceiptState,
    Settlement,
    State,
    Turn,
    claim_lost,
)
from flask_whop.stores.sql import (
    ResultT,
    Row,
    SqlStore,
    Values,
    held_values,
    receipt_values,
    repeatable,
    standing_of,
)
from flask_whop.stores.statements import Statements
from flask_whop.stores.waking import Waker

try:
    import sqlalchemy as sa
    from sqlalchemy.exc import DBAPIError
except ImportError:
    raise MissingExtraError('A store in this database needs: pip install "flask-whop[sqlalchemy]"') from None

from flask_whop.stores.database import (
    Connection,
    Database,
    DatabaseClock,
    faults_named,
    persisted,
    was_cut,
)
from flask_whop.stores.driver import DriverDatabase
from flask_whop.stores.engines import Pool, check_pooler, is_direct, make_engine
from flask_whop.stores.joining import begin_anew, begin_watch, end_watch, watch_sessions_of
from flask_whop.stores.schema import Tables

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Engine

_CREATING_TRIES: Final = 4
_CREATING_PAUSE: Final = 0.3


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


class SessionExtension(Protocol):
    """What is needed of an extension that has a session, such as Flask-SQLAlchemy's ``db``."""

    @property
    def session(self) -> Any:
        """Its session."""
        ...

    @property
    def metadata(self) -> sa.MetaData:
        """The tables of the host, which its migrations make."""
        ...


class SQLAlchemyStore(SqlStore):
    """Remembers in the database of ``url``, or of an ``engine`` of the host's.

    ``prefix`` begins the names of the four tables. They are made at start unless
    ``create`` is false: then ``flask whop init-db`` makes them, or Alembic does, which
    finds them in ``metadata``: that of the host if it is given, and one of the store's
    own otherwise.

    Leases go by the clock of the database, unless ``clock`` is given. A process has up to
    ``pool_size`` connections to a URL, of which none is held while a receiver runs, and
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
                f"WHOP_STORE: the database cannot be used ({error.__cause__}). Start it, or correct the URL; the app"
                " does not start without the place where deliveries are kept."
            ) from None
        except ConfigError:
            self.close()
            raise
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"WHOP_STORE: the driver of the database takes its URL for no good ({type(error).__name__}). Look at"
                " what stands behind its question mark."
            ) from None

    def create_tables(self) -> None:
        """Make the tables that are not there, and migrate those that are older."""
        engine = self._engine
        for _ in range(_CREATING_TRIES):
            try:
                self._create_tables(engine)
            except StoreUnavailable:
                # Another process makes them at the same time; in a moment they are there.
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
        """The database, with its tables; looked at when it is first used, and measured once for its clock."""
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
            pass  # it is there; and after a fork, the connections of the parent are left before anything else
        if self._create:
            self.create_tables()
        else:
            with faults_named(), engine.connect() as connection:
                self._tables.version(connection)
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

    def _transact(self, job: Callable[[sql.Connection], ResultT]) -> ResultT:
        return self._database().transact(job)

    def announce(self, endpoint: str) -> None:
        """Wake the workers that listen to PostgreSQL."""
        self._database().announce(endpoint)

    def waker(self, endpoint: str) -> Waker:
        """What listens to PostgreSQL, where its driver can."""
        return self._database().waker(endpoint)

    def lifeline(self) -> Lifeline:
        """What renews the claims in the database of this app."""
        return self._database()

    def close(self) -> None:
        """Close the connections that nobody uses; the next use opens anew."""
        for database in list(self._databases.values()):
            database.rest()
            database.engine.dispose()
        if "_own_engine" in self.__dict__ and self._own_engine is not self._given:
            self._own_engine.dispose()  # it has been reached, and refused

    def _persist(self, call: Callable[[], ResultT]) -> ResultT:
        """Do what was refused by a deadlock, or whose connection was lost, once more."""
        return persisted(call)


class SessionStore(SQLAlchemyStore):
    """Remembers in the host's own database, and commits each receipt with its receiver's writes.

    ``session`` is Flask-SQLAlchemy's ``db``, or the session of any ``scoped_session``. A
    receiver begins with a transaction of its own. When it returns, its receipt is added to
    that, and both are committed: either both are there afterwards, or neither. When it
    raises, the transaction is rolled back before anybody hears of it. A receiver that
    commits by itself parts the two.

    The four tables belong to the host's ``metadata``, which ``db`` brings along, so that
    the host's migrations or ``db.create_all()`` make them. Without any ``metadata`` the
    store makes them itself, as ``create=True`` lets it always.
    """

    ready_at_start = False

    def __init__(
        self,
        session: Session | SessionExtension,
        *,
        prefix: str = "whop_",
        metadata: sa.MetaData | None = None,
        create: bool | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._session, found = _session_of(session)
        self._with_snapshots: WeakSet[Database] = WeakSet()
        metadata = found if metadata is None else metadata
        create = metadata is None if create is None else create
        super().__init__("", prefix=prefix, metadata=metadata, create=create, clock=clock)
        factory = getattr(self._session, "session_factory", None)
        if factory is not None:
            watch_sessions_of(factory)

    def open(self, *, owned: bool, keep_bodies: bool) -> None:  # noqa: ARG002  # the commits are the host's
        """Note what is wanted; the session's engine is known once the app runs."""
        self._keeps_bodies = keep_bodies
        self._opened_in = process.current

    @property
    def _engine(self) -> Engine:
        bind = self._session.get_bind()
        return cast("Engine", getattr(bind, "engine", bind))

    def _reach(self, engine: Engine) -> Database:
        try:
            database = super()._reach(engine)
        except ConfigError as error:  # at start it would keep the app from starting; now it asks for a retry
            raise StoreUnavailable(str(error)) from error
        with faults_named(), engine.connect() as connection:
            level = connection.get_isolation_level()
            if database.dialect == "postgresql" and level in ("REPEATABLE READ", "SERIALIZABLE"):
                self._with_snapshots.add(database)
            autocommit = level == "AUTOCOMMIT" or getattr(connection.connection.dbapi_connection, "autocommit", False)
        if autocommit is True:
            raise StoreUnavailable(
                "SessionStore needs transactions, and the engine of the session commits each statement by itself"
                ' (isolation_level="AUTOCOMMIT"). Give the session an engine without it, or use WHOP_STORE.'
            )
        return database

    def claim(self, arrival: Arrival, token: str, lease: float) -> Claim:
        """Take a delivery; what hooks of the host have begun in the session is rolled back before."""
        self._begin_anew()
        return super().claim(arrival, token, lease)

    def _begin_anew(self) -> object:
        """Roll back what was begun in the session before; which session it is."""
        session = self._session_now()
        begin_anew(session)
        self._session.rollback()
        return session

    def _session_now(self) -> object:
        """The session that a registry has for this context."""
        registry = getattr(self._session, "registry", None)
        return self._session if registry is None else registry()

    def begin(self) -> None:
        """Begin a transaction for one receiver, apart from whatever came before."""
        begin_watch(self._begin_anew(), self._database().engine)

    def undo(self) -> None:
        """Roll back what a receiver wrote."""
        end_watch()
        self._session.rollback()

    @repeatable
    def turn(self, key: Key, token: str, mark: Mark, lease: float) -> Turn:  # noqa: ARG002  # nobody waits here
        """Let every receiver go on that has not handled a newer event; the commit decides."""
        latest, _ = standing_of(self._select(self._statements.mark, held_values(key, token, mark)))
        return Turn.STALE if latest is not None and latest > mark.at else Turn.GRANTED

    def record(
        self, key: Key, token: str, receipt: Receipt, settlement: Settlement | None, mark: Mark | None = None
    ) -> None:
        """Commit a receipt with the receiver's writes, or roll them back."""
        if receipt.state is not ReceiptState.DONE:
            self._session.rollback()
            super().record(key, token, receipt, settlement, mark)
            return
        fault = end_watch()
        session = self._session_now()
        # Where nothing has been begun in it, there is nothing to be lost with its connection.
        empty = not getattr(session, "in_transaction", lambda: True)()
        try:
            if fault is not None:
                raise NotJoined(f"What {receipt.receiver} did cannot be committed with its receipt. {fault}")  # noqa: TRY301  # rolled back like the rest
            self._commit(key, token, receipt, settlement, mark, again=empty)
        except BaseException as error:
            self._session.rollback()
            if not (was_cut(error) or (self._sees_snapshots and isinstance(error, DBAPIError))):
                raise
            self._look_for(key, receipt, error)
        if self._sees_snapshots and settlement is not None:
            super().settle(key, token, settlement)

    def _commit(  # noqa: PLR0913  # what is recorded
        self,
        key: Key,
        token: str,
        receipt: Receipt,
        settlement: Settlement | None,
        mark: Mark | None,
        *,
        again: bool,
    ) -> None:
        """Commit a receipt in the receiver's transaction; ``again`` if its connection is found to be lost."""
        try:
            self._join(key, token, receipt, settlement, mark)
            self._session.commit()
        except DBAPIError as error:
            if not (again and was_cut(error)):
                raise
            self._session.rollback()
            self._commit(key, token, receipt, settlement, mark, again=False)

    @property
    def _sees_snapshots(self) -> bool:
        """Whether a transaction sees things as they were when it began, and may not write what has changed since."""
        return self._database() in self._with_snapshots

    def _join(self, key: Key, token: str, receipt: Receipt, settlement: Settlement | None, mark: Mark | None) -> None:
        """Write the receipt into the receiver's transaction, behind the fence."""
        joined = Connection(self._session)
        if (flush := getattr(self._session, "flush", None)) is not None:
            flush()  # what it waits for is waited for before the delivery is held, which renewals want
        if self._sees_snapshots:
            # Renewals have changed the delivery's row since, so that it cannot be held. What is
            # exact all the same is the receipt: only one transaction can make it a done one that
            # sees the delivery as it was while the claim still held.
            joined.rows(self._statements.standing, key._asdict())
            with self._database().apart() as current:
                if not current.rows(self._statements.hold, held_values(key, token)):
                    raise claim_lost(key)
            if not joined.change(self._statements.record, receipt_values(key, token, receipt)):
                raise claim_lost(key)
        else:
            self._write(key, token, receipt, settlement, joined)
        if mark is None:
            return
        values = held_values(key, token, mark)
        moved = joined.change(self._statements.advance, values)
        if not (moved and self._statements.tells):
            latest, _ = standing_of(joined.rows(self._statements.mark_now, values))
            if latest is not None and latest > mark.at:
                raise StaleEvent(
                    f"{receipt.receiver} has handled a newer event than {key.id} of this resource meanwhile."
                )

    def _look_for(self, key: Key, receipt: Receipt, error: BaseException) -> None:
        """Raise what cut a commit short, unless it, or another holder's, had reached the database."""
        kept = {one.receiver: one for one in self.receipts(key)}.get(receipt.receiver)
        if kept is None or kept.state is not ReceiptState.DONE:
            raise error

    def settle(self, key: Key, token: str, settlement: Settlement) -> None:
        """End a claim; what a receiver wrote that was interrupted is undone first.

        Its transaction may hold the very row that is to be written here.
        """
        if settlement.state is not State.DONE:
            self._session.rollback()
        super().settle(key, token, settlement)


def _session_of(given: Session | SessionExtension) -> tuple[Session, sa.MetaData | None]:
    """The session, and the metadata of the host where it can be found."""
    session = cast("Session", getattr(given, "session", given))
    # Flask-SQLAlchemy's session knows its extension: db.session leads to db.metadata.
    factory = getattr(session, "session_factory", None)
    extension = given if session is not given else getattr(factory, "kw", {}).get("db")
    return session, getattr(extension, "metadata", None)
