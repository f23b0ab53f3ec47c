"""The contents of a store in memory: live deliveries, flattened done ones, and queues of due ones."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from itertools import count
from threading import Lock
from typing import NamedTuple, TypeAlias

from flask_whop.names import storable
from flask_whop.stores.protocol import claim_lost
from flask_whop.stores.records import (
    FINISHED,
    Arrival,
    Filter,
    Key,
    Mark,
    Origin,
    Receipt,
    ReceiptState,
    Settlement,
    State,
    Stored,
    Tally,
    is_like,
)

DAY = 86_400.0

PlainReceipt: TypeAlias = tuple[str, str, int, float, float, str | None, float | None]
# What a done delivery leaves: plain tuples of plain values, which the garbage collector
# need not walk, however many there are.
Done: TypeAlias = tuple[
    tuple[str, str | None, str | None, float | None, float | None, int, int | None, str],
    tuple[int, bool, float, float, float],
    tuple[PlainReceipt, ...],
]
# As globals: some versions of Python call a function each time a class looks up a member.
RUNNING, DONE = State.RUNNING, State.DONE
CLAIMABLE = frozenset({State.FAILED, State.DONE, State.DEAD})
_SLACK = 1000


class Summary(NamedTuple):
    """The fields that searches look at."""

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
        self.state: State = State.RUNNING
        self.owned: bool = False
        self.attempts: int = 0
        self.lapses: int = 0
        self.received_at: float = now
        self.opened_at: float = now
        self.changed_at: float = now
        self.due_at: float | None = None
        self.place: int = -1
        """The number of its entry in the queue; entries it has left behind have other numbers."""
        self.token: str | None = None
        self.lease_until: float = 0.0
        self.receipts: dict[str, Receipt] = {}


class Queue:
    """Deliveries by due time, the earliest first; some entries are out of date."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Key]] = []
        self._numbers = count()

    def put(self, key: Key, delivery: Delivery, live: dict[Key, Delivery]) -> None:
        """Queue a delivery at its due time, and at no earlier one."""
        if len(self._heap) > 2 * len(live) + _SLACK:
            self._heap = [entry for entry in self._heap if _is_in_place(entry, live)]
            heapify(self._heap)
        delivery.place = next(self._numbers)
        heappush(self._heap, (delivery.due_at or 0.0, delivery.place, key))

    def first(self, limit: int, now: float, live: dict[Key, Delivery]) -> list[Delivery]:
        """Return up to ``limit`` deliveries that are due."""
        found: list[tuple[float, int, Key]] = []
        while self._heap and len(found) < limit and self._heap[0][0] <= now:
            entry = heappop(self._heap)
            if _is_in_place(entry, live):
                found.append(entry)
        for entry in found:
            heappush(self._heap, entry)
        return [live[key] for _, _, key in found]


def _is_in_place(entry: tuple[float, int, Key], live: dict[Key, Delivery]) -> bool:
    delivery = live.get(entry[2])
    return delivery is not None and delivery.place == entry[1] and delivery.state is State.DUE


class Progress:
    """How far one receiver has come on one line, and the token that has the turn."""

    __slots__ = ("delivery", "held_until", "latest", "token")

    def __init__(self) -> None:
        self.latest: float | None = None
        self.token: str | None = None
        self.held_until: float = 0.0
        self.delivery: str = ""


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
        # Ordered, because finding the first key of a plain dictionary passes all deleted ones.
        self._done: OrderedDict[tuple[str, str], Done] = OrderedDict()
        self._running: set[Delivery] = set()
        self._idle: OrderedDict[Key, Delivery] = OrderedDict()
        """Those that wait for Whop's retry, or for a replay by hand."""
        self._idle_with_body: OrderedDict[Key, Delivery] = OrderedDict()
        self._queues: dict[tuple[str, bool], Queue] = {}
        """Due deliveries, by endpoint and by whether they must run alone."""
        self._of_resource: dict[tuple[str, str], set[str]] = {}
        self._marks: dict[tuple[str, str, str], Progress] = {}
        self._marked: dict[tuple[str, str], set[tuple[str, str, str]]] = {}
        self._notes: dict[tuple[str, str], float] = {}
        self._tallies: dict[tuple[str, Tally], int] = {}

    def _add(self, arrival: Arrival, now: float) -> Delivery:
        delivery = self._live[arrival.key] = Delivery(arrival, now)
        self._bytes += len(arrival.body)
        if arrival.resource is not None:
            self._of_resource.setdefault((arrival.key.endpoint, arrival.resource), set()).add(arrival.key.id)
        return delivery

    def _give_body(self, delivery: Delivery, arrival: Arrival) -> None:
        """Store how a delivery arrived this time; its resource stays, and the span of its first arrival."""
        self._bytes += len(arrival.body) - len(delivery.arrival.body)
        first = delivery.arrival
        delivery.arrival = arrival._replace(resource=first.resource, trace=first.trace)

    def _hold(self, delivery: Delivery, token: str, now: float, lease: float) -> None:
        delivery.lapses += delivery.state is RUNNING and delivery.attempts > 0
        self._leave_rest(delivery)
        delivery.state = RUNNING
        self._running.add(delivery)
        delivery.attempts += 1
        delivery.token = token
        delivery.lease_until = now + lease
        delivery.changed_at = now

    def _leave_rest(self, delivery: Delivery) -> None:
        """Remove a delivery from those that run or rest."""
        self._running.discard(delivery)
        if self._idle:
            self._idle.pop(delivery.arrival.key, None)
            self._idle_with_body.pop(delivery.arrival.key, None)

    def _make_due(self, delivery: Delivery, now: float, due_at: float) -> None:
        self._leave_rest(delivery)
        delivery.state = State.DUE
        delivery.owned = True
        delivery.token = None
        delivery.due_at = due_at
        delivery.opened_at = delivery.changed_at = now
        self._queue(delivery)

    def _queue(self, delivery: Delivery) -> None:
        key = delivery.arrival.key
        about = (key.endpoint, delivery.lapses > 0)
        if about not in self._queues:
            self._queues[about] = Queue()
        self._queues[about].put(key, delivery, self._live)

    def _put_back(self, delivery: Delivery) -> None:
        self._running.discard(delivery)
        delivery.state = State.DUE
        delivery.token = None
        delivery.attempts -= 1
        self._queue(delivery)

    def _left_behind(self, endpoint: str, now: float) -> list[Delivery]:
        """Return running deliveries whose lease ran out; put back those that were only claimed with them."""
        first: dict[str | None, Delivery] = {}
        lapsed = [one for one in self._running if one.arrival.key.endpoint == endpoint and is_due(one, now)]
        for one in sorted(lapsed, key=lambda delivery: (due_time(delivery), delivery.arrival.key.id)):
            if first.setdefault(one.token, one) is not one:
                self._put_back(one)
        return list(first.values())

    def _held(self, key: Key, token: str) -> Delivery:
        delivery = self._live.get(key)
        if delivery is None or delivery.token != token:
            raise claim_lost(key)
        return delivery

    def _end(self, key: Key, delivery: Delivery, settlement: Settlement) -> None:
        delivery.token = None
        delivery.state, delivery.due_at = settlement
        delivery.changed_at = self.clock()
        self._running.discard(delivery)
        if delivery.state is DONE:
            self._bytes -= len(delivery.arrival.body)
            del self._live[key]
            self._done[(key.endpoint, key.id)] = flattened(delivery)
        elif delivery.state is State.DUE:
            self._queue(delivery)
        else:
            self._idle[key] = delivery
            if delivery.arrival.body:
                self._idle_with_body[key] = delivery

    def _erase(self, key: Key) -> bool:
        """Finish a delivery that isn't running, without its body and the texts of its receipts."""
        delivery = self._get_live(key)
        if delivery is None or (delivery.state is RUNNING and delivery.lease_until >= self.clock()):
            return False
        self._leave_rest(delivery)
        for name, one in list(delivery.receipts.items()):
            state = one.state if one.state in FINISHED else ReceiptState.SKIPPED
            delivery.receipts[name] = one._replace(state=state, due_at=None, error=None, answer=None)
        delivery.owned = True
        delivery.arrival = delivery.arrival._replace(origin=Origin.ERASED)
        self._end(key, delivery, Settlement(DONE))
        return True

    def _look(self, key: Key) -> Stored | None:
        live = self._live.get(key)
        if live is not None:
            return stored_of(live)
        done = self._done.get(key)
        return None if done is None else stored_of(restored(key, done))._replace(body=None)

    def _all(self, endpoint: str) -> Iterator[Summary]:
        for key, delivery in self._live.items():
            if key.endpoint == endpoint:
                one = delivery.arrival
                yield Summary(
                    key, delivery.state, one.event_type, one.account_id, delivery.received_at, delivery.changed_at
                )
        for (of, delivery_id), (about, counts, _) in self._done.items():
            if of == endpoint:
                yield Summary(Key(of, delivery_id), DONE, about[0], about[1], counts[2], counts[4])

    def _get_live(self, key: Key) -> Delivery | None:
        """Return the delivery, restored if it was done."""
        delivery = self._live.get(key)
        done = None if delivery is not None else self._done.pop(key, None)
        if done is not None:
            delivery = self._live[key] = restored(key, done)
        return delivery

    def _forget(self, now: float) -> None:
        """Drop deliveries that are too old, and the oldest beyond the limit."""
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
        """Drop the oldest bodies of resting deliveries, which a retry brings again."""
        while self._idle_with_body and self._bytes > self._max_bytes:
            _, delivery = self._idle_with_body.popitem(last=False)
            self._give_body(delivery, delivery.arrival._replace(body=b""))

    def _drop(self, key: Key) -> None:
        """Forget a delivery, and the marks that it was the last to set."""
        done, live = self._done.pop(key, None), self._live.pop(key, None)
        if live is not None:
            self._bytes -= len(live.arrival.body)
            self._leave_rest(live)
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


def due_time(delivery: Delivery) -> float:
    """Return when a delivery is due, in unix seconds."""
    return delivery.due_at or 0.0


def is_due(delivery: Delivery, now: float) -> bool:
    """Return whether a delivery is due, or its lease ran out."""
    if delivery.state is State.DUE:
        return delivery.due_at is not None and delivery.due_at <= now
    return delivery.state is State.RUNNING and delivery.lease_until < now


def flattened(delivery: Delivery) -> Done:
    """Return a done delivery as plain tuples."""
    arrival = delivery.arrival
    return (
        (*arrival[1:8], arrival.origin.value),
        (delivery.attempts, delivery.owned, delivery.received_at, delivery.opened_at, delivery.changed_at),
        tuple(
            [
                (one.receiver, one.state.value, one.attempts, one.first_at, one.last_at, one.answer, one.seconds)
                for one in delivery.receipts.values()
            ]
        ),
    )


def restored(key: Key, done: Done) -> Delivery:
    """Return a done delivery as it was before it was flattened, without its body."""
    about, counts, receipts = done
    delivery = Delivery(Arrival(key, *about[:7], b"", origin=Origin(about[7])), counts[2])
    delivery.state = State.DONE
    delivery.attempts, delivery.owned, delivery.received_at, delivery.opened_at, delivery.changed_at = counts
    delivery.receipts = {
        name: Receipt(name, ReceiptState(state), attempts, first_at, last_at, answer=answer, seconds=seconds)
        for name, state, attempts, first_at, last_at, answer, seconds in receipts
    }
    return delivery


def stored_of(delivery: Delivery) -> Stored:
    """Return a delivery as a store gives it."""
    arrival = delivery.arrival
    return Stored(
        arrival.key,
        arrival.event_type,
        arrival.account_id,
        delivery.state,
        delivery.owned,
        delivery.attempts,
        delivery.received_at,
        delivery.opened_at,
        delivery.changed_at,
        delivery.due_at,
        arrival.signed_at,
        arrival.secret_index,
        arrival.body or None,
        arrival.receivers,
        arrival.signer,
        arrival.origin,
        arrival.resource,
        arrival.trace,
    )


def fits(delivery: Summary, wanted: Filter) -> bool:
    """Return whether a delivery is one of those that are looked for."""
    return (
        (not wanted.states or delivery.state in wanted.states)
        and (wanted.event_type is None or is_like(delivery.event_type, wanted.event_type))
        and (wanted.account_id is None or delivery.account_id == wanted.account_id)
        and (wanted.since is None or delivery.received_at >= wanted.since)
        and (wanted.until is None or delivery.received_at < wanted.until)
        and (wanted.before is None or (delivery.received_at, delivery.key.id) < wanted.before)
        and (wanted.down_to is None or (delivery.received_at, delivery.key.id) >= wanted.down_to)
    )
