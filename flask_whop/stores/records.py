"""What a store keeps of deliveries, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from fnmatch import fnmatchcase
from typing import Final, NamedTuple


def _without_body(delivery: Arrival | Stored) -> str:
    fields = delivery._asdict()
    del fields["body"]
    return f"{type(delivery).__name__}({', '.join(f'{name}={value!r}' for name, value in fields.items())})"


class State(str, Enum):
    """The state of a delivery."""

    RUNNING = "running"
    """It is claimed, and its holder has a lease on it."""
    FAILED = "failed"
    """A receiver is not done with it, and its retry is Whop's."""
    DUE = "due"
    """A receiver is not done with it, and its retry is ours."""
    DONE = "done"
    """Every receiver is done with it."""
    DEAD = "dead"
    """Its retry was ours, and all retries are used up."""


class ReceiptState(str, Enum):
    """The outcome of one receiver's call."""

    DONE = "done"
    """It returned."""
    GIVEN_UP = "given_up"
    """It raised :class:`~flask_whop.errors.GiveUp`."""
    SKIPPED = "skipped"
    """It wasn't called: its condition isn't met, it has handled a newer event, or one of the same key."""
    STARTED = "started"
    """It was called and has not ended: it runs, or its process died. First runs of a delivery write no such receipt."""
    FAILED = "failed"
    """It raised, and will be called again."""
    DEAD = "dead"
    """It raised, and is only called again if the delivery is replayed."""


FINISHED: Final = frozenset({ReceiptState.DONE, ReceiptState.GIVEN_UP, ReceiptState.SKIPPED})
"""The states in which no retry or replay calls a receiver again."""


TROUBLES: Final = frozenset(ReceiptState) - {ReceiptState.DONE, ReceiptState.SKIPPED}
"""The states of receivers that are not done with a delivery, or never will be."""


class Origin(str, Enum):
    """How a delivery came here."""

    ARRIVED = "arrived"
    """Whop sent it, signed."""
    PULLED = "pulled"
    """It was fetched from Whop's delivery log."""
    ERASED = "erased"
    """Its payload was erased, so what comes of it again is a duplicate, whatever its receivers have done."""


class Key(NamedTuple):
    """The identity of a delivery."""

    endpoint: str
    """``WHOP_ENDPOINT``: tells apart the deliveries of apps that share a database."""
    id: str
    """The signed ``webhook-id``."""


class Arrival(NamedTuple):
    """A delivery that has been verified, but not processed."""

    key: Key
    event_type: str
    account_id: str | None
    resource: str | None
    """The resource: the family of the event's type, and the id of its data."""
    occurred_at: float | None
    """When Whop first sent it, from the envelope's ``timestamp``, in unix seconds."""
    updated_at: float | None
    """When the resource changed, from ``data.updated_at``, in unix seconds; None if the payload has no such time."""
    signed_at: int
    """When it was signed, or sent if it was pulled, in unix seconds."""
    secret_index: int | None
    """The index of the configured secret that matched, from 0; None if it was pulled."""
    body: bytes
    """The signed bytes; if it was pulled, its JSON written again."""
    receivers: tuple[str, ...] = ()
    """The receivers it is accepted for; empty if they run before the answer."""
    signer: str | None = None
    """The fingerprint of the secret that verified it; None if it was pulled."""
    origin: Origin = Origin.ARRIVED
    trace: str | None = None
    """The span in which it arrived, as a W3C ``traceparent``; None if that isn't traced."""

    def __repr__(self) -> str:
        """Show everything but the body."""
        return _without_body(self)


class Receipt(NamedTuple):
    """The outcome of one receiver's calls with one delivery."""

    receiver: str
    state: ReceiptState
    attempts: int
    """How many times it has been called."""
    first_at: float
    """When it was first called, or first called since the delivery became owned or was replayed, in unix seconds."""
    last_at: float
    """When it was last called, in unix seconds."""
    due_at: float | None = None
    """When it will be called again, in unix seconds; None if the retry is not ours."""
    error: str | None = None
    """The last error it raised, with the end of the traceback; or why it was skipped."""
    answer: str | None = None
    """What it answered to an event that wants an answer, as JSON."""
    seconds: float | None = None
    """How long its last call took; None while it runs, and if it wasn't called."""


NO_RECEIPTS: Final[Mapping[str, Receipt]] = {}
UNFINISHED: Final[tuple[State, ...]] = tuple(state for state in State if state is not State.DONE)
"""The states that still need work, including dead letters."""
DONE_WITHIN: Final = 3600.0
"""How many seconds back :class:`Stats` counts done deliveries."""


class Claim(NamedTuple):
    """The answer to :meth:`~flask_whop.stores.Store.claim`."""

    granted: bool
    """False while another holder processes it, or while it is due here."""
    owned: bool = False
    """Whether its retry is ours."""
    attempts: int = 1
    """How many times it has been claimed, including this time."""
    receipts: Mapping[str, Receipt] = NO_RECEIPTS
    """The receipts so far, by receiver name."""


class Hold(NamedTuple):
    """The claim on a delivery that is accepted and runs at once."""

    token: str
    lease: float
    """How many seconds it lasts unless it is renewed."""


class Accepted(NamedTuple):
    """The answer to :meth:`~flask_whop.stores.Store.accept`."""

    changed: bool
    """Whether this call made it owned; False if it was already due, running, or finished."""
    state: State
    """Its state now."""
    owned: bool = True
    """Whether its retry is ours; False while it runs and its sender waits."""
    attempts: int = 1
    """How many times it has been claimed, if it is held."""
    receipts: Mapping[str, Receipt] = NO_RECEIPTS
    """The receipts so far, if it is held."""


class Stored(NamedTuple):
    """A delivery in a store."""

    key: Key
    event_type: str
    account_id: str | None
    state: State
    owned: bool
    """Whether its retry is ours."""
    attempts: int
    received_at: float
    """When it first arrived, in unix seconds."""
    opened_at: float
    """When it became owned or was last replayed, in unix seconds: retries last from the first call since then."""
    changed_at: float
    due_at: float | None
    signed_at: int
    secret_index: int | None
    body: bytes | None
    """The signed bytes, or those that were pulled; None if they were dropped."""
    receivers: tuple[str, ...] = ()
    """The receivers it was accepted for."""
    signer: str | None = None
    """The fingerprint of the secret that verified it when it first arrived; None if it was pulled."""
    origin: Origin = Origin.ARRIVED
    resource: str | None = None
    """The resource that its event is about, such as ``payment:pay_…``."""
    trace: str | None = None
    """The span in which it first arrived, as a W3C ``traceparent``; None if that wasn't traced."""

    def __repr__(self) -> str:
        """Show everything but the body."""
        return _without_body(self)


class Due(NamedTuple):
    """A delivery that :meth:`~flask_whop.stores.Store.take` would claim."""

    key: Key
    alone: bool
    """Whether a process died while running it: it runs alone, because it may kill the next process too."""


ONCE: Final = "once"
"""The field of the marks of receivers that do one event of each key."""


class Mark(NamedTuple):
    """The position of one event among those of its resource, which a receiver wants in order.

    Or, with the field :data:`ONCE`, that a receiver does one of the events of a key: then the
    resource is the key, and the time is 0 until it's done, which is 1.
    """

    receiver: str
    resource: str
    field: str
    """The field that gives the time: ``updated_at`` or ``timestamp``. The two are never compared."""
    at: float
    """The time of this event, in unix seconds."""

    @property
    def is_once(self) -> bool:
        """Whether it's the mark of a key, which is used up by the first that is done, and outlives pruning."""
        return self.field == ONCE

    @property
    def when_done(self) -> Mark:
        """The mark to record when the receiver is done."""
        return self._replace(at=1.0) if self.is_once else self

    @property
    def line(self) -> str:
        """The sequence that is in order: the events of the resource whose time comes from one field."""
        return f"{self.field} of {self.resource}"


class Turn(str, Enum):
    """The answer to :meth:`~flask_whop.stores.Store.turn`."""

    GRANTED = "granted"
    """The receiver may be called."""
    STALE = "stale"
    """It has handled a newer event."""
    BUSY = "busy"
    """It is now being called with another event of that resource."""


class Taken(NamedTuple):
    """An owned delivery that has been claimed, to run its due receivers."""

    delivery: Stored
    receipts: Mapping[str, Receipt]


class Settlement(NamedTuple):
    """How a claim ends."""

    state: State
    due_at: float | None = None
    """When it runs again if it is due, in unix seconds."""


class Filter(NamedTuple):
    """The deliveries to look for; a field that is left out does not narrow the search."""

    states: Sequence[State] = ()
    event_type: str | None = None
    """A name, or a pattern with ``*``."""
    account_id: str | None = None
    since: float | None = None
    """Received at this time or later, in unix seconds."""
    until: float | None = None
    """Received before this time, in unix seconds."""
    resource: str | None = None
    """Such as ``payment:pay_…``."""
    text: str | None = None
    """How the id of the delivery, of its account, or of its resource (``pay_…``) begins."""
    receiver: str | None = None
    """The name of a receiver that has a receipt."""
    receipt_state: ReceiptState | None = None
    """The state of that receipt, or of any."""
    before: tuple[float, str] | None = None
    """Further back than the delivery that was received at this time and has this id."""
    down_to: tuple[float, str] | None = None
    """No further back than the delivery that was received at this time and has this id."""
    is_complete: bool = True
    """Whether all are wanted, or some are enough, if an index leads to those at once."""


def is_like(event_type: str, pattern: str) -> bool:
    """Whether an event type has the form of a pattern, in which ``*`` stands for any text, and nothing else does."""
    # fnmatch never goes back, so many stars take no longer than a few; a regular expression of ours would.
    return fnmatchcase(event_type, pattern.replace("[", "[[]").replace("?", "[?]"))


class Stats(NamedTuple):
    """How many deliveries are in which state, for a health check."""

    counts: Mapping[State, int]
    """The exact number of deliveries in each state except done; every such state has an entry."""
    done_lately: int
    """How many of the deliveries that arrived within the last hour are done."""
    oldest_unfinished: float | None
    """The age in seconds of the oldest delivery that is running, failed or due; None if there is none."""


class Tally(NamedTuple):
    """What is counted for the charts."""

    hour: int
    """The hour in which it happened, counted from the beginning of unix time."""
    kind: str
    """What kind of thing happened."""
    name: str
    """To whom or what."""
