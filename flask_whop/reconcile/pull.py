"""Fetches what was missed from Whop's delivery log, and runs it through the engine's own door."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from flask_whop import signals
from flask_whop.engine import Status
from flask_whop.engine.dispatch import dispatcher
from flask_whop.engine.retries import DAY
from flask_whop.errors import Rejected, SetupError
from flask_whop.logs import log
from flask_whop.signature import Delivery, encoded
from flask_whop.stores import Key, MemoryStore, State

if TYPE_CHECKING:
    from flask_whop.api.client import WhopApi
    from flask_whop.api.records import LoggedAttempt, Webhook
    from flask_whop.engine.installation import Installation

LOG_DAYS: Final = 30
"""How far back Whop's delivery log goes."""

FIRST_LOOK: Final = 3 * DAY
"""How far back the first pull of a webhook looks: as long as Whop retries."""

_OVERLAP: Final = 3600.0
_MOST_BYTES: Final = 67_108_864
_STATUSES: Final = frozenset(status.value for status in Status)


class Missed(NamedTuple):
    """A delivery in Whop's log that isn't finished here."""

    id: str
    """The ``webhook-id``."""
    event_type: str
    place: int
    """Where the first of its attempts is in the log, counted from the latest one."""
    sent_at: float
    """When its last attempt was sent, in unix seconds."""
    attempt_id: str | None
    """The last attempt in the log, ``whdel_…``."""
    body: bytes | None
    """Its JSON, written again; None if it's in the store, signed, and its retry was left to Whop."""
    delivered: bool = False
    """Whether the log has an attempt of it that was answered 2xx."""

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


class Pull:
    """One pull of one webhook's log; ``progress`` is called with each attempt that was read.

    Bodies are Whop's JSON written again: the values are those that were sent, and the
    bytes aren't those that were signed. What vouches for them is the API's own channel.
    """

    def __init__(
        self,
        installation: Installation,
        api: WhopApi,
        webhook: Webhook,
        span: Span,
        *,
        progress: Callable[[LoggedAttempt], object] = lambda _attempt: None,
    ) -> None:
        self.seen: Seen = Seen()
        self.webhook = webhook
        self._installation = installation
        self._engine = installation.engine
        self._api = api
        self._span = span
        self._progress = progress
        self._dispatch = dispatcher(installation)

    def missed(self) -> Iterator[list[Missed]]:
        """Yield what isn't finished here, the earliest first, in parts that fit into memory; the latest part first.

        Raises :class:`~flask_whop.errors.ApiError` and
        :class:`~flask_whop.errors.StoreUnavailable`.
        """
        waiting: dict[str, Missed] = {}
        decided: set[str] = set()
        size = 0
        for attempt in self._attempts():
            delivery_id = attempt.delivery_id
            if delivery_id is None:
                self.seen.unusable.append(attempt.id or "-")
            elif (later := waiting.get(delivery_id)) is not None:
                delivered = later.delivered or attempt.success
                waiting[delivery_id] = later._replace(place=self.seen.attempts, delivered=delivered)
            elif delivery_id not in decided:
                decided.add(delivery_id)
                missed = self._look_up(delivery_id, attempt)
                if missed is not None:
                    waiting[delivery_id] = missed
                    size += len(missed.body or b"")
            if size > _MOST_BYTES:
                yield self._in_order(waiting)
                waiting, size = {}, 0
        yield self._in_order(waiting)

    def run(self, missed: Missed) -> str:
        """Run a delivery as if it had arrived; return what became of it, by the values of ``Status``, or why not.

        Raises :class:`~flask_whop.errors.StoreUnavailable`.
        """
        if missed.body is None:
            outcome = self._engine.take_over(Key(self._engine.endpoint, missed.id))
            return "taken by another process" if outcome is None else outcome.status.value
        try:
            dispatched = self._dispatch(Delivery(missed.id, int(missed.sent_at), missed.body, None))
        except Rejected as rejection:
            return f"rejected: {rejection.reason.value}"
        if dispatched.afterwards is not None:
            dispatched.afterwards()
        return dispatched.outcome.status.value

    def finish(self, results: Counter[str], *, began: float) -> int:
        """Note how far the log has been pulled, tell whoever listens how many deliveries were missed, and return it."""
        store = self._engine.store
        # Neither what another process is running, nor what this app doesn't take.
        found = sum(count for result, count in results.items() if result in _STATUSES)
        store.put_note(self._engine.endpoint, _note_of(self.webhook), began)
        self._engine.notify(signals.deliveries_pulled, webhook_id=self.webhook.id, found=found)
        return found

    def _attempts(self) -> Iterator[LoggedAttempt]:
        """The attempts since the time that is asked for; those without a time are among them."""
        for attempt in self._api.log(self.webhook.id):
            if attempt.sent_at is not None and attempt.sent_at < self._span.since:
                return
            self.seen.attempts += 1
            self._progress(attempt)
            yield attempt

    def _look_up(self, delivery_id: str, attempt: LoggedAttempt) -> Missed | None:
        """What is to be run; None if it's finished, running or due here."""
        stored = self._engine.store.get(Key(self._engine.endpoint, delivery_id))
        sent_at = self._engine.store.clock() if attempt.sent_at is None else attempt.sent_at
        if stored is None:
            body = encoded(attempt.envelope)
        elif stored.state in (State.FAILED, State.RUNNING) and not stored.owned:
            body = None
        else:
            self.seen.known += 1
            return None
        return Missed(delivery_id, attempt.event_type, self.seen.attempts, sent_at, attempt.id, body, attempt.success)

    def _in_order(self, waiting: dict[str, Missed]) -> list[Missed]:
        return sorted(filter(self._may_run, waiting.values()), key=lambda missed: missed.place, reverse=True)

    def _may_run(self, missed: Missed) -> bool:
        """Whether it's known that it was never run here: the store remembers, or it was never delivered."""
        if missed.body is None or missed.sent_at >= self._span.remembered:
            return True
        if not self._span.forced:
            self.seen.too_old += 1
            return False
        self.seen.delivered_before += missed.delivered and not self._span.all
        return self._span.all or not missed.delivered


def span_of(
    installation: Installation,
    webhook: Webhook,
    since: float | None,
    *,
    forced: bool = False,
    all: bool = False,  # noqa: A002  # the option's name
) -> Span:
    """Return which part of a webhook's log to pull.

    ``since`` is in unix seconds; without it, it's an hour before the last pull, or three
    days back. Raises :class:`~flask_whop.errors.SetupError` for a store in memory, which
    can't tell what has run before this process, and
    :class:`~flask_whop.errors.StoreUnavailable`.
    """
    engine, store = installation.engine, installation.store
    if isinstance(store, MemoryStore) and not installation.app.testing:
        raise SetupError(
            "The store is memory://, which doesn't know what ran before this process: nothing can be pulled without"
            " running it twice. Set WHOP_STORE to a file or a database."
        )
    now = store.clock()
    if since is None:
        last = store.note(engine.endpoint, _note_of(webhook))
        since = now - FIRST_LOOK if last is None else last - _OVERLAP
    remembered = max(engine.remembers_since(), now - installation.settings.keep_days * DAY)
    return Span(since, remembered, forced, all)


def pull_all(
    installation: Installation, api: WhopApi, webhooks: list[Webhook], *, stopping: Callable[[], bool] = lambda: False
) -> Counter[str]:
    """Pull what the webhooks' logs have had since the last pull, and run it; count what became of it.

    Once ``stopping`` returns true, nothing more is run; the next pull begins where this one did.

    Raises :class:`~flask_whop.errors.ApiError`, :class:`~flask_whop.errors.SetupError` and
    :class:`~flask_whop.errors.StoreUnavailable`.
    """
    total: Counter[str] = Counter()
    for webhook in webhooks:
        counts: Counter[str] = Counter()
        began = installation.store.clock()
        pull = Pull(installation, api, webhook, span_of(installation, webhook, None))
        for part in pull.missed():
            for missed in part:
                if stopping():
                    return total + counts
                counts[pull.run(missed)] += 1
        if found := pull.finish(counts, began=began):
            log.warning("Pulled from %s what hadn't arrived or wasn't finished: %d in all.", webhook.id, found)
        total += counts
    return total


def _note_of(webhook: Webhook) -> str:
    return f"pulled {webhook.id}"
