"""What a store in memory holds: deliveries by what they wait for, done ones in short, and queues of what is due."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from heapq import heapify, heappop, heappush
from itertools import count
from threading import Lock
from typing import NamedTuple, TypeAlias

from flask_whop.names import storable
from flask_whop.stores.protocol import claim_lost
from flask_whop.stores.records import (
    Arrival,
    Filter,
    Key,
    Mark,
    Receipt,
    ReceiptState,
    Settlement,
    State,
    Stored,
)

DAY = 86_400.0

PlainReceipt: TypeAlias = tuple[str, str, int, float, float]
# What a done delivery leaves: plain tuples of plain values, which the garbage collector
# need not walk, however many there are.
Done: TypeAlias = tuple[
    tuple[str, str | None, str | None, float | None, float | None, int, int],
    tuple[int, bool, float, float, float],
    tuple[PlainReceipt, ...],
]
# By names of their own: some versions of Python run a function for each look at a member by its class.
RUNNING, DONE = State.RUNNING, State.DONE
CLAIMABLE = frozenset({State.FAILED, State.DONE, State.DEAD})
_SLACK = 1000


class Summary(NamedTuple):
    """What a delivery is looked for by."""

    key: Key
    state: State
    event_type: str
    account_id: str | None
    received_at: float
    changed_at: float


class Delivery:
    """A delivery that is not done."""

    __slots__ = (
        *("arrival", "attempts", "changed_at", "due_at", "lapses", "lease_until"),
        *("opened_at", "owned", "place", "received_at", "receipts", "state", "token"),
    )

    def __init__(self, arrival: Arrival, now: float) -> None:
        self.arrival = arrival
        self.state = State.RUNNING
        self.owned = False
        self.attempts = 0
        self.lapses = 0
        self.received_at = self.opened_at = self.changed_at = now
        self.due_at: float | None = None
        self.place = -1
        """Which entry of the queue is its own; what it has left behind there has other numbers."""
        self.token: str | None = None
        self.lease_until = 0.0
        self.receipts: dict[str, Receipt] = {}


class Queue:
    """What is due at which time, the earliest first; some entries are of deliveries that have gone on since."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Key]] = []
        self._numbers = count()

    def put(self, key: Key, kept: Delivery, live: dict[Key, Delivery]) -> None:
        """Let a delivery be due at its time, and at no former one."""
        if len(self._heap) > 2 * len(live) + _SLACK:
            self._heap = [entry for entry in self._heap if _is_in_place(entry, live)]
            heapify(self._heap)
        kept.place = next(self._numbers)
        heappush(self._heap, (kept.due_at or 0.0, kept.place, key))

    def first(self, limit: int, now: float, live: dict[Key, Delivery]) -> list[Delivery]:
        """Up to ``limit`` of what is due by now."""
        found: list[tuple[float, int, Key]] = []
        while self._heap and len(found) < limit and self._heap[0][0] <= now:
            entry = heappop(self._heap)
            if _is_in_place(entry, live):
                found.append(entry)
        for entry in found:
            heappush(self._heap, entry)
        return [live[key] for _, _, key in found]


def _is_in_place(entry: tuple[float, int, Key], live: dict[Key, Delivery]) -> bool:
    kept = live.get(entry[2])
    return kept is not None and kept.place == entry[1] and kept.state is State.DUE


class Progress:
    """How far one receiver has come on one line, and who has the turn."""

    __slots__ = ("delivery", "held_until", "latest", "token")

    def __init__(self) -> None:
        self.latest: float | None = None
        self.token: str | None = None
        self.held_until = 0.0
        self.delivery = ""


class Contents:
    """The contents of a store in memory; whoever calls a method holds the lock."""

    def __init__(
        self,
        *,
        max_deliveries: int = 50_000,
        max_bytes: int = 67_108_864,
        max_age: float = 4 * DAY,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._max_deliveries = max_deliveries
        self._max_bytes = max_bytes
        self._bytes = 0
        self._max_age = max_age
        self.clock = clock
        self._lock = Lock()
        self._live: dict[Key, Delivery] = {}
        # Ordered, since a look for the first of a plain dictionary passes all that was deleted before it.
        self._done: OrderedDict[tuple[str, str], Done] = OrderedDict()
        self._running: set[Delivery] = set()
        self._idle: OrderedDict[Key, Delivery] = OrderedDict()
        """Those that a retry of Whop's, or a hand, brings on again."""
        self._idle_with_body: OrderedDict[Key, Delivery] = OrderedDict()
        self._queues: dict[tuple[str, bool], Queue] = {}
        """What is due, by the endpoint, and by whether it is to run alone."""
        self._of_resource: dict[tuple[str, str], set[str]] = {}
        self._marks: dict[tuple[str, str, str], Progress] = {}
        self._marked: dict[tuple[str, str], set[tuple[str, str, str]]] = {}

    def _add(self, arrival: Arrival, now: float) -> Delivery:
        kept = self._live[arrival.key] = Delivery(arrival, now)
        self._bytes += len(arrival.body)
        if arrival.resource is not None:
            self._of_resource.setdefault((arrival.key.endpoint, arrival.resource), set()).add(arrival.key.id)
        return kept

    def _give_body(self, kept: Delivery, arrival: Arrival) -> None:
        """Note how a delivery has come this time; what it is about stays."""
        self._bytes += len(arrival.body) - len(kept.arrival.body)
        kept.arrival = arrival._replace(resource=kept.arrival.resource)

    def _hold(self, kept: Delivery, token: str, now: float, lease: float) -> None:
        kept.lapses += kept.state is RUNNING and kept.attempts > 0
        self._begin(kept)
        kept.state = RUNNING
        self._running.add(kept)
        kept.attempts += 1
        kept.token = token
        kept.lease_until = now + lease
        kept.changed_at = now

    def _begin(self, kept: Delivery) -> None:
        """Take a delivery out of where it rests."""
        self._running.discard(kept)
        if self._idle:
            self._idle.pop(kept.arrival.key, None)
            self._idle_with_body.pop(kept.arrival.key, None)

    def _make_due(self, kept: Delivery, now: float, due_at: float) -> None:
        self._begin(kept)
        kept.state = State.DUE
        kept.owned = True
        kept.token = None
        kept.due_at = due_at
        kept.opened_at = kept.changed_at = now
        self._queue(kept)

    def _queue(self, kept: Delivery) -> None:
        key = kept.arrival.key
        about = (key.endpoint, kept.lapses > 0)
        if about not in self._queues:
            self._queues[about] = Queue()
        self._queues[about].put(key, kept, self._live)

    def _put_back(self, kept: Delivery) -> None:
        self._running.discard(kept)
        kept.state = State.DUE
        kept.token = None
        kept.attempts -= 1
        self._queue(kept)

    def _left_behind(self, endpoint: str, now: float) -> list[Delivery]:
        """What runs, and whose lease ran out; put back what was merely claimed together with it."""
        first: dict[str | None, Delivery] = {}
        lapsed = [one for one in self._running if one.arrival.key.endpoint == endpoint and is_due(one, now)]
        for one in sorted(lapsed, key=lambda kept: (due_time(kept), kept.arrival.key.id)):
            if first.setdefault(one.token, one) is not one:
                self._put_back(one)
        return list(first.values())

    def _held(self, key: Key, token: str) -> Delivery:
        kept = self._live.get(key)
        if kept is None or kept.token != token:
            raise claim_lost(key)
        return kept

    def _end(self, key: Key, kept: Delivery, settlement: Settlement) -> None:
        kept.token = None
        kept.state, kept.due_at = settlement
        kept.changed_at = self.clock()
        self._running.discard(kept)
        if kept.state is DONE:
            self._bytes -= len(kept.arrival.body)
            del self._live[key]
            self._done[(key.endpoint, key.id)] = flattened(kept)
        elif kept.state is State.DUE:
            self._queue(kept)
        else:
            self._idle[key] = kept
            if kept.arrival.body:
                self._idle_with_body[key] = kept

    def _look(self, key: Key) -> Stored | None:
        live = self._live.get(key)
        if live is not None:
            return stored_of(live)
        done = self._done.get(key)
        return None if done is None else stored_of(restored(key, done))._replace(body=None)

    def _all(self, endpoint: str) -> Iterator[Summary]:
        for key, kept in self._live.items():
            if key.endpoint == endpoint:
                one = kept.arrival
                yield Summary(key, kept.state, one.event_type, one.account_id, kept.received_at, kept.changed_at)
        for (of, delivery_id), (about, counts, _) in self._done.items():
            if of == endpoint:
                yield Summary(Key(of, delivery_id), DONE, about[0], about[1], counts[2], counts[4])

    def _kept(self, key: Key) -> Delivery | None:
        """The delivery, brought back if it was done."""
        kept = self._live.get(key)
        done = None if kept is not None else self._done.pop(key, None)
        if done is not None:
            kept = self._live[key] = restored(key, done)
        return kept

    def _forget(self, now: float) -> None:
        """Drop what is too old, and the oldest of what is too much."""
        if self._bytes > self._max_bytes:
            self._forget_bodies()
        while self._done:
            key = Key(*next(iter(self._done)))
            too_many = len(self._done) + len(self._live) >= self._max_deliveries
            if not too_many and now - self._done[key][1][4] <= self._max_age:
                return
            self._drop(key)
        while self._idle and len(self._live) >= self._max_deliveries:
            self._drop(next(iter(self._idle)))

    def _forget_bodies(self) -> None:
        """Drop the oldest bodies whose retry brings another."""
        while self._idle_with_body and self._bytes > self._max_bytes:
            _, kept = self._idle_with_body.popitem(last=False)
            self._give_body(kept, kept.arrival._replace(body=b""))

    def _drop(self, key: Key) -> None:
        """Forget a delivery, with the marks that it was the last to set."""
        done, live = self._done.pop(key, None), self._live.pop(key, None)
        if live is not None:
            self._bytes -= len(live.arrival.body)
            self._begin(live)
        resource = done[0][2] if done else live.arrival.resource if live else None
        if resource is not None and (ids := self._of_resource.get((key.endpoint, resource))) is not None:
            ids.discard(key.id)
            if not ids:
                del self._of_resource[(key.endpoint, resource)]
        for about in self._marked.pop((key.endpoint, key.id), ()):
            del self._marks[about]


def shortened(arrival: Arrival) -> Arrival:
    """An arrival whose texts are as long as they need to be, whatever the sender wrote."""
    _, event_type, account_id, resource, *_ = arrival
    short = (storable(event_type), account_id and storable(account_id), resource and storable(resource))
    if short == (event_type, account_id, resource):
        return arrival
    return arrival._replace(event_type=short[0], account_id=short[1], resource=short[2])


def progress_key(key: Key, mark: Mark) -> tuple[str, str, str]:
    """Return what one receiver's progress on the line of a mark is kept by."""
    return key.endpoint, mark.receiver, storable(mark.line)


def due_time(kept: Delivery) -> float:
    """Return when a delivery is due, in unix seconds."""
    return kept.due_at or 0.0


def is_due(kept: Delivery, now: float) -> bool:
    """Return whether a delivery is due, or its lease ran out."""
    if kept.state is State.DUE:
        return kept.due_at is not None and kept.due_at <= now
    return kept.state is State.RUNNING and kept.lease_until < now


def flattened(kept: Delivery) -> Done:
    """Return a done delivery as plain tuples."""
    arrival = kept.arrival
    return (
        arrival[1:8],
        (kept.attempts, kept.owned, kept.received_at, kept.opened_at, kept.changed_at),
        tuple(
            [(one.receiver, one.state.value, one.attempts, one.first_at, one.last_at) for one in kept.receipts.values()]
        ),
    )


def restored(key: Key, done: Done) -> Delivery:
    """A done delivery as it was before it was flattened, but for its body."""
    about, counts, receipts = done
    kept = Delivery(Arrival(key, *about, b""), counts[2])
    kept.state = State.DONE
    kept.attempts, kept.owned, kept.received_at, kept.opened_at, kept.changed_at = counts
    kept.receipts = {
        name: Receipt(name, ReceiptState(state), attempts, first_at, last_at)
        for name, state, attempts, first_at, last_at in receipts
    }
    return kept


def stored_of(kept: Delivery) -> Stored:
    """Return a delivery as a store gives it."""
    arrival = kept.arrival
    return Stored(
        arrival.key,
        arrival.event_type,
        arrival.account_id,
        kept.state,
        kept.owned,
        kept.attempts,
        kept.received_at,
        kept.opened_at,
        kept.changed_at,
        kept.due_at,
        arrival.signed_at,
        arrival.secret_index,
        arrival.body or None,
        arrival.receivers,
        arrival.signer,
    )


def fits(kept: Summary, wanted: Filter) -> bool:
    """Return whether a delivery is one of those that are looked for."""
    return (
        (not wanted.states or kept.state in wanted.states)
        and (wanted.event_type is None or fnmatchcase(kept.event_type, wanted.event_type))
        and (wanted.account_id is None or kept.account_id == wanted.account_id)
        and (wanted.since is None or kept.received_at >= wanted.since)
        and (wanted.until is None or kept.received_at < wanted.until)
    )
