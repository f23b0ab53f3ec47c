"""Watches the transaction of a receiver, with which its receipt will be committed."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from sqlalchemy import event

if TYPE_CHECKING:
    import sqlalchemy as sa
    from sqlalchemy.engine import Engine

_OTHER_SESSION: Final = (
    "It wrote or read through another session than the one its receipt is committed with, so one could be committed"
    " without the other. Leave out `with app.app_context():`, since a receiver already runs in the app's context, and"
    " `session.remove()`; and if sessions belong to threads, don't make the receiver a coroutine, which runs in another"
    " thread."
)
_OTHER_DATABASE: Final = (
    "It used a second database in its transaction, and no commit to two is all or nothing. Let another receiver write"
    " to the second database, or use a separate session for it, and pass event.idempotency_key on."
)

_NESTED: Final = (
    "It processed another delivery while it ran, in the same session, which began a new transaction. Deliver that one"
    " from elsewhere, or in a separate session."
)


class Watch:
    """What a receiver does with sessions while it is called."""

    def __init__(self, session: object, engine: Engine, outer: Watch | None) -> None:
        self._session = session
        self._engine = engine
        self.outer = outer
        """The watch of the receiver during whose call this one is called, if any."""
        self.fault: str | None = None
        """Why its writes can't be committed with its receipt; None if they can."""

    def note(self, session: object, connection: sa.Connection) -> None:
        """Take note of a connection that enters a session's transaction."""
        if session is not self._session:
            self.fault = self.fault or _OTHER_SESSION
        elif connection.engine.pool is not self._engine.pool:
            self.fault = self.fault or _OTHER_DATABASE

    def note_restart(self, session: object) -> None:
        """Take note of a transaction that starts over, which undoes what this receiver wrote."""
        if session is self._session:
            self.fault = self.fault or _NESTED


# SQLAlchemy identifies what it listens to by id, which another object may have had before.
_watched: WeakSet[Any] = WeakSet()
_watch: ContextVar[Watch | None] = ContextVar("flask_whop.joining", default=None)


def watch_sessions_of(factory: Any) -> None:
    """Report what each session of ``factory`` begins to the watch of its context."""
    if factory not in _watched:
        _watched.add(factory)
        event.listen(factory, "after_begin", _after_begin)


def begin_watch(session: object, engine: Engine) -> None:
    """Watch the receiver that is about to be called in this context, until :func:`end_watch`."""
    _watch.set(Watch(session, engine, _watch.get()))


def end_watch() -> str | None:
    """Stop watching; return why the receiver's writes can't be committed with its receipt, or None."""
    watch = _watch.get()
    _watch.set(None if watch is None else watch.outer)
    return None if watch is None else watch.fault


def note_rollback(session: object) -> None:
    """Take note that a session's transaction is rolled back for another delivery than its receiver's."""
    watch = _watch.get()
    while watch is not None:
        watch.note_restart(session)
        watch = watch.outer


def _after_begin(session: object, _transaction: object, connection: sa.Connection) -> None:
    watch = _watch.get()
    if watch is not None:
        watch.note(session, connection)
