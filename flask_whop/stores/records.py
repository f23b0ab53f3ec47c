"""What a store keeps of deliveries, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final, NamedTuple


def _without_body(one: Arrival | Stored) -> str:
    fields = one._asdict()
    del fields["body"]
    return f"{type(one).__name__}({', '.join(f'{name}={value!r}' for name, value in fields.items())})"


class State(str, Enum):
    """Where a delivery stands."""

    RUNNING = "running"
    """Somebody has claimed it and holds a lease on it."""
    FAILED = "failed"
    """A receiver is not done with it, and the retry is Whop's."""
    DUE = "due"
    """A receiver is not done with it, and the retry is ours."""
    DONE = "done"
    """Every receiver is done with it."""
    DEAD = "dead"
    """It was ours, and has been retried for as long as it may be."""


class ReceiptState(str, Enum):
    """What became of one receiver's call."""

    DONE = "done"
    """It returned."""
    GIVEN_UP = "given_up"
    """It raised :class:`~flask_whop.errors.GiveUp`."""
    SKIPPED = "skipped"
    """It was connected with ``skip_stale``, and had handled a newer event."""
    STARTED = "started"
    """It was called, and has not ended: it runs, or its process died. First runs of a delivery write none."""
    FAILED = "failed"
    """It raised, and is to be called again."""
    DEAD = "dead"
    """It raised, and is not called again unless the delivery is replayed."""


FINISHED: Final = frozenset({ReceiptState.DONE, ReceiptState.GIVEN_UP, ReceiptState.SKIPPED})
"""The states of receivers that no retry and no replay calls again."""


class Key(NamedTuple):
    """What a delivery is known by."""

    endpoint: str
    """``WHOP_ENDPOINT``: whose deliveries these are, where several apps share a database."""
    id: str
    """The signed ``webhook-id``."""


class Arrival(NamedTuple):
    """A delivery as it arrived: verified, and not processed yet."""

    key: Key
    event_type: str
    account_id: str | None
    resource: str | None
    """What the event is about: the family of its type, and the id of its data."""
    occurred_at: float | None
    """When Whop sent it first, by the envelope's ``timestamp``, in unix seconds."""
    updated_at: float | None
    """When the resource changed, by ``data.updated_at``, in unix seconds; None if the payload tells no such time."""
    signed_at: int
    """When it was signed, in unix seconds."""
    secret_index: int
    """Which of the configured secrets matched, counted from 0."""
    body: bytes
    """The signed bytes."""
    receivers: tuple[str, ...] = ()
    """The names of the receivers that it is accepted for; empty where they run before the answer."""
    signer: str | None = None
    """The fingerprint of the secret that verified it."""

    def __repr__(self) -> str:
        """All of it but the body."""
        return _without_body(self)


class Receipt(NamedTuple):
    """What became of one receiver's calls with one delivery."""

    receiver: str
    state: ReceiptState
    attempts: int
    """How often it has been called."""
    first_at: float
    """When it was called first, or first since it became ours or was replayed, in unix seconds."""
    last_at: float
    """When it was called last, in unix seconds."""
    due_at: float | None = None
    """When it is to be called again, in unix seconds; None if that is not ours to say."""
    error: str | None = None
    """What it raised last, with the end of the traceback."""


NO_RECEIPTS: Final[Mapping[str, Receipt]] = {}
UNFINISHED: Final[tuple[State, ...]] = tuple(state for state in State if state is not State.DONE)
"""The states of what somebody still has to do with, dead letters among them."""
DONE_WITHIN: Final = 3600.0
"""For how many seconds back :class:`Stats` counts what is done."""


class Claim(NamedTuple):
    """The answer to somebody who wants to process a delivery."""

    granted: bool
    """False while somebody else processes it, or while its retry is ours."""
    owned: bool = False
    """Whether the retry is ours."""
    attempts: int = 1
    """How often it has been claimed, this time included."""
    receipts: Mapping[str, Receipt] = NO_RECEIPTS
    """The receipts so far, by the receivers' names."""


class Hold(NamedTuple):
    """How somebody holds a delivery that is accepted to be run at once."""

    token: str
    lease: float
    """How many seconds it holds unless it is renewed."""


class Accepted(NamedTuple):
    """The answer to somebody who wants a delivery to be ours."""

    changed: bool
    """Whether it has become ours by this; False if it is due, running, or finished already."""
    state: State
    """Where it stands now."""
    owned: bool = True
    """Whether the retry is ours; not so while somebody runs it whose sender waits."""
    attempts: int = 1
    """How often it has been claimed, where it is held."""
    receipts: Mapping[str, Receipt] = NO_RECEIPTS
    """The receipts so far, where it is held."""


class Stored(NamedTuple):
    """A delivery as it is kept."""

    key: Key
    event_type: str
    account_id: str | None
    state: State
    owned: bool
    attempts: int
    received_at: float
    """When it came first, in unix seconds."""
    opened_at: float
    """When it became ours, or was replayed last, in unix seconds: retries last from the first call since."""
    changed_at: float
    due_at: float | None
    signed_at: int
    secret_index: int
    body: bytes | None
    """The signed bytes; None if they were dropped when it was done."""
    receivers: tuple[str, ...] = ()
    """The names of the receivers that it was accepted for."""
    signer: str | None = None
    """The fingerprint of the secret that verified it when it came first."""

    def __repr__(self) -> str:
        """All of it but the body."""
        return _without_body(self)


class Due(NamedTuple):
    """A delivery that :meth:`Store.take` would give."""

    key: Key
    alone: bool
    """Whether a process that ran it has died: nothing else is to run beside it, lest it dies as well."""


class Mark(NamedTuple):
    """Where one receiver stands among the events of one resource, which it wants in order."""

    receiver: str
    resource: str
    field: str
    """Which field tells the time: ``updated_at`` or ``timestamp``. The two are never compared."""
    at: float
    """The time of the event in hand, in unix seconds."""

    @property
    def line(self) -> str:
        """What is in order: the resource, as far as one field tells the times."""
        return f"{self.field} of {self.resource}"


class Turn(str, Enum):
    """The answer to a receiver that wants the events of a resource in order."""

    GRANTED = "granted"
    """It is to be called."""
    STALE = "stale"
    """It has handled a newer event."""
    BUSY = "busy"
    """It is being called with another event of that resource at this moment."""


class Taken(NamedTuple):
    """A delivery of ours that has been claimed, to run what is due of it."""

    delivery: Stored
    receipts: Mapping[str, Receipt]


class Settlement(NamedTuple):
    """How a claim ends."""

    state: State
    due_at: float | None = None
    """When a due one is to be run again, in unix seconds."""


class Filter(NamedTuple):
    """Which deliveries are looked for; what is left out selects nothing."""

    states: Sequence[State] = ()
    event_type: str | None = None
    """A name, or a pattern with ``*``."""
    account_id: str | None = None
    since: float | None = None
    """Received at this time or later, in unix seconds."""
    until: float | None = None
    """Received before this time, in unix seconds."""


class Stats(NamedTuple):
    """How many deliveries stand where, for a health check."""

    counts: Mapping[State, int]
    """The exact number of deliveries in each state but done; each of them is there."""
    done_lately: int
    """How many of those that came within the last hour are done."""
    oldest_unfinished: float | None
    """The age in seconds of the oldest one that is running, failed or due; None if there is none."""
