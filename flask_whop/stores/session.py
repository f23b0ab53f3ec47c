"""A store in the host's own session, which commits each receipt with its receiver's writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast
from weakref import WeakSet

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from flask_whop.errors import ConfigError, NotJoined, StaleEvent, StoreUnavailable
from flask_whop.forks import process
from flask_whop.stores.database import (
    Connection,
    Database,
    faults_named,
    was_cut,
)
from flask_whop.stores.joining import begin_watch, end_watch, note_rollback, watch_sessions_of
from flask_whop.stores.lookups import repeatable
from flask_whop.stores.protocol import claim_lost
from flask_whop.stores.records import Arrival, Claim, Key, Mark, Receipt, ReceiptState, Settlement, State, Turn
from flask_whop.stores.rows import held_values, receipt_values, standing_of
from flask_whop.stores.server import SQLAlchemyStore

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine


class Session(Protocol):
    """The part of a session that the store needs: Flask-SQLAlchemy's ``db.session``, or any ``scoped_session``."""

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
    """The part of an extension that the store needs, such as Flask-SQLAlchemy's ``db``."""

    @property
    def session(self) -> Any:
        """Its session."""
        ...

    @property
    def metadata(self) -> sa.MetaData:
        """The metadata of the host's tables, which its migrations make."""
        ...


class SessionStore(SQLAlchemyStore):
    """Remembers in the host's own database, and commits each receipt with its receiver's writes.

    ``session`` is Flask-SQLAlchemy's ``db``, or the session of any ``scoped_session``. A
    receiver begins with a transaction of its own. When it returns, its receipt is added to
    that transaction, and both are committed or neither is. When it raises, the transaction is
    rolled back before the failure is reported. A receiver that commits on its own separates
    the two.

    The four tables belong to the host's ``metadata``, which ``db`` provides, so the
    host's migrations or ``db.create_all()`` make them. Without ``metadata`` the store makes
    them itself; with ``create=True`` it always does.
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
        """Note the options; the session's engine is known once the app runs."""
        self._keeps_bodies = keep_bodies
        self._opened_in = process.current

    @property
    def _engine(self) -> Engine:
        bind = self._session.get_bind()
        return cast("Engine", getattr(bind, "engine", bind))

    def _reach(self, engine: Engine) -> Database:
        try:
            database = super()._reach(engine)
        except ConfigError as error:  # the app already runs, so it is answered with a retry
            raise StoreUnavailable(str(error)) from error
        with faults_named(), engine.connect() as connection:
            level = connection.get_isolation_level()
            if database.dialect == "postgresql" and level in ("REPEATABLE READ", "SERIALIZABLE"):
                self._with_snapshots.add(database)
            autocommit = level == "AUTOCOMMIT" or getattr(connection.connection.dbapi_connection, "autocommit", False)
        if autocommit is True:
            raise StoreUnavailable(
                "SessionStore needs transactions, but the engine of the session commits each statement on its own"
                ' (isolation_level="AUTOCOMMIT"). Give the session an engine without it, or use WHOP_STORE.'
            )
        return database

    def claim(self, arrival: Arrival, token: str, lease: float) -> Claim:
        """Claim a delivery, after rolling back what the host's hooks began in the session."""
        self._start_over()
        return super().claim(arrival, token, lease)

    def _start_over(self) -> object:
        """Roll back what was begun in the session; return the session."""
        session = self._session_now()
        note_rollback(session)
        self._session.rollback()
        return session

    def _session_now(self) -> object:
        """Return the session that a registry has for this context."""
        registry = getattr(self._session, "registry", None)
        return self._session if registry is None else registry()

    def begin(self) -> None:
        """Begin a transaction for one receiver, apart from whatever came before."""
        begin_watch(self._start_over(), self._database().engine)

    def undo(self) -> None:
        """Roll back what a receiver wrote."""
        end_watch()
        self._session.rollback()

    @repeatable
    def turn(self, key: Key, token: str, mark: Mark, lease: float) -> Turn:
        """Grant every receiver that has not handled a newer event, where the commit decides.

        Those that do one event of each key wait for each other: what they do outside the
        transaction is done once, too.
        """
        if mark.is_once:
            return super().turn(key, token, mark, lease)
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
        # If nothing has begun in it, nothing can be lost with its connection.
        empty = not getattr(session, "in_transaction", lambda: True)()
        try:
            if fault is not None:
                raise NotJoined(f"What {receipt.receiver} did can't be committed with its receipt. {fault}")  # noqa: TRY301  # rolled back like the rest
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
        """Commit a receipt in the receiver's transaction; ``again`` if its connection is lost."""
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
        """Whether a transaction sees rows as they were when it began, and may not write rows that changed since."""
        return self._database() in self._with_snapshots

    def _join(self, key: Key, token: str, receipt: Receipt, settlement: Settlement | None, mark: Mark | None) -> None:
        """Write the receipt into the receiver's transaction, behind the fence."""
        joined = Connection(self._session)
        if (flush := getattr(self._session, "flush", None)) is not None:
            flush()  # it may wait, and must not do so while it locks the delivery's row, which renewals need
        if self._sees_snapshots:
            # Renewals have changed the delivery's row since, so it can't be locked. The receipt is
            # still exact: only one transaction that sees the delivery as it was while the claim
            # still held can make it a done one.
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
        if mark.is_once:
            self._use_up(joined, receipt, values)
            return
        moved = joined.change(self._statements.advance, values)
        if not (moved and self._statements.tells):
            latest, _ = standing_of(joined.rows(self._statements.mark_now, values))
            if latest is not None and latest > mark.at:
                raise StaleEvent(
                    f"{receipt.receiver} has handled a newer event than {key.id} of this resource meanwhile."
                )

    def _use_up(self, joined: Connection, receipt: Receipt, values: Mapping[str, object]) -> None:
        """Use a key up, or raise if another delivery has."""
        moved = joined.change(self._statements.advance_once, values)
        if not (moved and self._statements.tells):
            rows = joined.rows(self._statements.done_by, values)
            if not rows or rows[0][0] != values["id"]:
                raise StaleEvent(f"{receipt.receiver} has done another event of the same once_per= key meanwhile.")

    def _look_for(self, key: Key, receipt: Receipt, error: BaseException) -> None:
        """Raise the error of a commit, unless it, or another holder's, reached the database."""
        stored = {row.receiver: row for row in self.receipts(key)}.get(receipt.receiver)
        if stored is None or stored.state is not ReceiptState.DONE:
            raise error

    def settle(self, key: Key, token: str, settlement: Settlement) -> None:
        """End a claim, after undoing what an interrupted receiver wrote.

        Its transaction may lock the very row that is written here.
        """
        if settlement.state is not State.DONE:
            self._session.rollback()
        super().settle(key, token, settlement)


def _session_of(given: Session | SessionExtension) -> tuple[Session, sa.MetaData | None]:
    """Return the session, and the host's metadata if it can be found."""
    session = cast("Session", getattr(given, "session", given))
    # Flask-SQLAlchemy's session knows its extension: db.session leads to db.metadata.
    factory = getattr(session, "session_factory", None)
    extension = given if session is not given else getattr(factory, "kw", {}).get("db")
    return session, getattr(extension, "metadata", None)
