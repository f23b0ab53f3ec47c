"""Reads Whop's delivery log, and finds in it what isn't finished here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from flask_whop.api.records import unix_time
from flask_whop.signature import encoded
from flask_whop.stores import Key, State

if TYPE_CHECKING:
    from flask_whop.api.records import LoggedAttempt
    from flask_whop.engine.engine import Engine

_MOST_BYTES: Final = 67_108_864
_OLDER_IN_A_ROW: Final = 50
_UNKNOWN: Final = 0.0  # as a time: before everything


class Missed(NamedTuple):
    """A delivery in Whop's log that isn't finished here."""

    id: str
    """The ``webhook-id``."""
    event_type: str
    place: int
    """Where the first of its attempts is in the log, counted from the latest one."""
    original_at: float | None
    """When the first of its attempts that replayed no other one was sent, in unix seconds; None if none was read."""
    written_at: float | None
    """What its envelope says of when it was sent."""
    sent_at: float
    """When its last attempt was sent, in unix seconds."""
    attempt_id: str | None
    """The last attempt in the log, ``whdel_…``."""
    body: bytes | None
    """Its JSON, written again; None if it's in the store, signed, and its retry was left to Whop."""
    answered: int | None
    """How its last attempt was answered, as an HTTP status; None or 0 if it wasn't."""
    delivered: bool = False
    """Whether the log has an attempt of it that was answered 2xx."""
    replayed: bool = False
    """Whether somebody had Whop replay it."""

    @property
    def first_at(self) -> float:
        """When it was first sent, as far as that is known; 0 if it isn't, so it's taken to be old.

        What is replayed at Whop is as old as what it replays, which may be anywhere in the log.
        """
        known = [at for at in (self.original_at, self.written_at) if at is not None]
        return min(known) if known and (self.original_at is not None or not self.replayed) else _UNKNOWN

    def __repr__(self) -> str:
        """Show everything but the body."""
        return f"Missed({self.id!r}, {self.event_type!r}, delivered={self.delivered})"


@dataclass
class Seen:
    """What a pull has seen in the log of a webhook."""

    attempts: int = 0
    """How many attempts, each a row of the log."""
    known: int = 0
    """How many deliveries are finished, running or due here."""
    unusable: list[str] = field(default_factory=list)
    """The attempts without a usable id, which can't be run."""
    too_old: int = 0
    """How many deliveries are from before this store remembers, and were left alone."""
    delivered_before: int = 0
    """How many of the older ones were left alone because they had been delivered."""


@dataclass(frozen=True)
class Span:
    """Which part of the log is pulled."""

    since: float
    """In unix seconds."""
    remembered: float
    """Since when the store knows all that arrived, in unix seconds."""
    forced: bool = False
    """Whether to run what was sent before that."""
    all: bool = False
    """Whether to run even those of them that were delivered."""
    gapless: bool = True
    """Whether it begins no later than the last pull ended, so the next one may begin where this one ends."""


class Backlog:
    """What one webhook's log has and the store hasn't; ``progress`` is called with each attempt that was read."""

    def __init__(
        self, log: Iterator[LoggedAttempt], engine: Engine, span: Span, progress: Callable[[LoggedAttempt], object]
    ) -> None:
        self.seen: Seen = Seen()
        self._log = log
        self._engine = engine
        self._span = span
        self._progress = progress
        self._waiting: dict[str, Missed] = {}
        self._decided: set[str] = set()

    def parts(self) -> Iterator[list[Missed]]:
        """Yield what isn't finished here, the earliest first, in parts that fit into memory; the latest part first.

        Raises :class:`~flask_whop.errors.ApiError` and
        :class:`~flask_whop.errors.StoreUnavailable`.
        """
        size = 0
        for attempt, within in self._attempts():
            delivery_id = attempt.delivery_id
            if delivery_id in self._waiting:
                self._add(self._waiting[delivery_id], attempt)
            elif within and delivery_id is None:
                self.seen.unusable.append(attempt.id or "-")
            elif within and delivery_id is not None and delivery_id not in self._decided:
                self._decided.add(delivery_id)
                size += self._look_up(delivery_id, attempt)
            if size > _MOST_BYTES:
                yield self._taken()
                size = 0
        yield self._taken()

    def _attempts(self) -> Iterator[tuple[LoggedAttempt, bool]]:
        """The attempts, and whether they are within the time that is asked for.

        Rows may be out of order, so it takes some older ones in a row to end. Where it
        matters whether something was delivered, the attempts before that time are read too.
        """
        older = 0
        for attempt in self._log:
            sent_at = attempt.sent_at
            within = sent_at is None or sent_at >= self._span.since
            wanted = within or (self._needs_older and sent_at is not None and sent_at >= self._oldest_waiting)
            older = 0 if wanted else older + 1
            if older >= _OLDER_IN_A_ROW:
                return
            if wanted:
                self.seen.attempts += within
                self._progress(attempt)
                yield attempt, within

    @property
    def _needs_older(self) -> bool:
        return self._span.forced and not self._span.all

    @property
    def _oldest_waiting(self) -> float:
        return min((missed.first_at for missed in self._waiting.values()), default=self._span.since)

    def _look_up(self, delivery_id: str, attempt: LoggedAttempt) -> int:
        """Let it wait if it isn't finished, running or due here; return how many bytes it takes."""
        stored = self._engine.store.get(Key(self._engine.endpoint, delivery_id))
        if stored is not None and (stored.owned or stored.state not in (State.FAILED, State.RUNNING)):
            self.seen.known += 1
            return 0
        body = encoded(attempt.envelope) if stored is None else None
        written_at = unix_time(attempt.envelope.get("timestamp"))
        sent_at = attempt.sent_at or written_at or _UNKNOWN
        first = Missed(
            delivery_id, attempt.event_type, 0, None, written_at, sent_at, attempt.id, body, attempt.response_code
        )
        self._add(first, attempt)
        return len(body or b"")

    def _add(self, missed: Missed, attempt: LoggedAttempt) -> None:
        """Take one more, earlier attempt of a delivery into account."""
        original_at = missed.original_at
        if attempt.replayed_from is None and attempt.sent_at is not None:
            original_at = min(attempt.sent_at, attempt.sent_at if original_at is None else original_at)
        self._waiting[missed.id] = missed._replace(
            place=self.seen.attempts,
            original_at=original_at,
            delivered=missed.delivered or attempt.success,
            replayed=missed.replayed or attempt.replayed_from is not None,
        )

    def _taken(self) -> list[Missed]:
        """What waits and may run, the earliest first; nothing waits any more."""
        waiting, self._waiting = self._waiting, {}
        return sorted(filter(self._may_run, waiting.values()), key=lambda missed: missed.place, reverse=True)

    def _may_run(self, missed: Missed) -> bool:
        """Whether it's known that it was never run here: the store remembers, or it was never delivered."""
        if missed.body is None or missed.first_at >= self._span.remembered:
            return True
        if not self._span.forced:
            self.seen.too_old += 1
            return False
        self.seen.delivered_before += missed.delivered and not self._span.all
        return self._span.all or not missed.delivered
