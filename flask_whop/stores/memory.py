"""A store in the memory of the process: it forgets when the process ends."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from heapq import heapify, heappop, heappush, nsmallest
from itertools import count, takewhile
from threading import Lock
from typing import NamedTuple, TypeAlias

from flask_whop.names import storable
from flask_whop.stores.protocol import (
    DONE_WITHIN,
    FINISHED,
    UNFINISHED,
    Accepted,
    Arrival,
    Claim,
    Due,
    Filter,
    Hold,
    Key,
    Mark,
    Receipt,
    ReceiptState,
    Settlement,
    State,
    Stats,
    Store,
    Stored,
    Taken,
    Turn,
    claim_lost,
    warn_of_dead_letters,
)

DAY = 86_400.0

_PlainReceipt: TypeAlias = tuple[str, str, int, float, float]
# What a done delivery leaves: plain tuples of plain values, which the garbage collector
# need not walk, however many there are.
_Done: TypeAlias = tuple[
    tuple[str, str | None, str | None, float | None, float | None, int, int],
    tuple[int, bool, float, float, float],
    tuple[_PlainReceipt, ...],
]
_FIRST = Claim(granted=True)
# By names of their own: some versions of Python run a function for each look at a member by its class.
_RUNNING, _DONE = State.RUNNING, State.DONE
_CLAIMABLE = frozenset({State.FAILED, State.DONE, State.DEAD})
_SLACK = 1000


class _About(NamedTuple):
    """What a delivery is looked for by."""

    key: Key
    state: State
    event_type: str
    account_id: str | None
    received_at: float
    changed_at: float


class _Delivery:
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


class _Queue:
    """What is due at which time, the earliest first; some entries are of deliveries that have gone on since."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Key]] = []
        self._numbers = count()

    def put(self, key: Key, kept: _Delivery, live: dict[Key, _Delivery]) -> None:
        """Let a delivery be due at its time, and at no former one."""
        if len(self._heap) > 2 * len(live) + _SLACK:
            self._heap = [entry for entry in self._heap if _is_in_place(entry, live)]
            heapify(self._heap)
        kept.place = next(self._numbers)
        heappush(self._heap, (kept.due_at or 0.0, kept.place, key))

    def first(self, limit: int, now: float, live: dict[Key, _Delivery]) -> list[_Delivery]:
        """Up to ``limit`` of what is due by now."""
        found: list[tuple[float, int, Key]] = []
        while self._heap and len(found) < limit and self._heap[0][0] <= now:
            entry = heappop(self._heap)
            if _is_in_place(entry, live):
                found.append(entry)
        for entry in found:
            heappush(self._heap, entry)
        return [live[key] for _, _, key in found]


def _is_in_place(entry: tuple[float, int, Key], live: dict[Key, _Delivery]) -> bool:
    kept = live.get(entry[2])
    return kept is not None and kept.place == entry[1] and kept.state is State.DUE


class _Mark:
    """How far one receiver has come on one line, and who has the turn."""

    __slots__ = ("delivery", "held_until", "latest", "token")

    def __init__(self) -> None:
        self.latest: float | None = None
        self.token: str | None = None
        self.held_until = 0.0
        self.delivery = ""


class MemoryStore(Store):
    """Remembers up to ``max_deliveries``, each for ``max_age`` seconds after its last change.

    Whop retries for about 71 hours (its webhooks guide), so that an age under four days
    would forget too early. Beyond the number, the oldest go first, except those that
    are being processed or due. The bodies of done deliveries are not kept, and of the
    others no more than ``max_bytes`` beside those that are being processed or due: the
    oldest go first, and what has lost its body cannot be replayed by hand. ``clock`` gives
    the unix time.
    """

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
        self._live: dict[Key, _Delivery] = {}
        # Ordered, since a look for the first of a plain dictionary passes all that was deleted before it.
        self._done: OrderedDict[tuple[str, str], _Done] = OrderedDict()
        self._running: set[_Delivery] = set()
        self._idle: OrderedDict[Key, _Delivery] = OrderedDict()
        """Those that a retry of Whop's, or a hand, brings on again."""
        self._idle_with_body: OrderedDict[Key, _Delivery] = OrderedDict()
        self._queues: dict[tuple[str, bool], _Queue] = {}
        """What is due, by the endpoint, and by whether it is to run alone."""
        self._of_resource: dict[tuple[str, str], set[str]] = {}
        self._marks: dict[tuple[str, str, str], _Mark] = {}
        self._marked: dict[tuple[str, str], set[tuple[str, str, str]]] = {}

    def open(self, *, owned: bool, keep_bodies: bool) -> None:
        """Do nothing: memory is ready, and nothing in it outlasts the process."""

    def claim(self, arrival: Arrival, token: str, lease: float) -> Claim:
        """Take a delivery for processing while its sender waits."""
        with self._lock:
            now = self.clock()
            arrival = _short(arrival)
            self._forget(now)
            kept = self._kept(arrival.key)
            if kept is None:
                self._hold(self._add(arrival, now), token, now, lease)
                return _FIRST
            if kept.state not in _CLAIMABLE and not (kept.state is State.RUNNING and kept.lease_until < now):
                return Claim(granted=False, owned=kept.owned, attempts=kept.attempts)
            self._give_body(kept, arrival)
            kept.owned = False
            self._hold(kept, token, now, lease)
            return Claim(granted=True, attempts=kept.attempts, receipts=dict(kept.receipts))

    def _add(self, arrival: Arrival, now: float) -> _Delivery:
        kept = self._live[arrival.key] = _Delivery(arrival, now)
        self._bytes += len(arrival.body)
        if arrival.resource is not None:
            self._of_resource.setdefault((arrival.key.endpoint, arrival.resource), set()).add(arrival.key.id)
        return kept

    def _give_body(self, kept: _Delivery, arrival: Arrival) -> None:
        """Note how a delivery has come this time; what it is about stays."""
        self._bytes += len(arrival.body) - len(kept.arrival.body)
        kept.arrival = arrival._replace(resource=kept.arrival.resource)

    def accept(self, arrival: Arrival, due_in: float, hold: Hold | None = None) -> Accepted:
        """Make a delivery ours, and hold it at once if asked to."""
        with self._lock:
            now = self.clock()
            arrival = _short(arrival)
            self._forget(now)
            if arrival.key in self._done:
                return Accepted(changed=False, state=State.DONE)
            kept = self._live.get(arrival.key)
            if kept is None:
                kept = self._add(arrival, now)
            elif kept.state is not State.FAILED and not (kept.state is State.RUNNING and kept.lease_until < now):
                return Accepted(changed=False, state=kept.state, owned=kept.owned)
            kept.lapses += kept.state is State.RUNNING and kept.attempts > 0
            self._give_body(kept, arrival)
            self._make_due(kept, now, now + due_in)
            if hold is None:
                return Accepted(changed=True, state=State.DUE)
            self._hold(kept, hold.token, now, hold.lease)
            return Accepted(changed=True, state=kept.state, attempts=kept.attempts, receipts=dict(kept.receipts))

    def take(self, key: Key, token: str, lease: float, *, early: bool = False) -> Taken | None:
        """Claim a delivery that is due, or whose lease ran out."""
        with self._lock:
            now = self.clock()
            kept = self._live.get(key)
            if kept is None or not (_is_due(kept, now) or (early and kept.state is State.DUE)):
                return None
            if not kept.owned:
                kept.owned = True
                kept.opened_at = now
            self._hold(kept, token, now, lease)
            return Taken(_stored(kept), dict(kept.receipts))

    def _hold(self, kept: _Delivery, token: str, now: float, lease: float) -> None:
        kept.lapses += kept.state is _RUNNING and kept.attempts > 0
        self._begin(kept)
        kept.state = _RUNNING
        self._running.add(kept)
        kept.attempts += 1
        kept.token = token
        kept.lease_until = now + lease
        kept.changed_at = now

    def _begin(self, kept: _Delivery) -> None:
        """Take a delivery out of where it rests."""
        self._running.discard(kept)
        if self._idle:
            self._idle.pop(kept.arrival.key, None)
            self._idle_with_body.pop(kept.arrival.key, None)

    def _make_due(self, kept: _Delivery, now: float, due_at: float) -> None:
        self._begin(kept)
        kept.state = State.DUE
        kept.owned = True
        kept.token = None
        kept.due_at = due_at
        kept.opened_at = kept.changed_at = now
        self._queue(kept)

    def _queue(self, kept: _Delivery) -> None:
        key = kept.arrival.key
        about = (key.endpoint, kept.lapses > 0)
        if about not in self._queues:
            self._queues[about] = _Queue()
        self._queues[about].put(key, kept, self._live)

    def take_due(self, endpoint: str, token: str, lease: float, limit: int) -> Sequence[Taken]:
        """Claim up to ``limit`` of what is due and has not lapsed, together."""
        together = [one.key for one in self.due(endpoint, limit) if not one.alone]
        return [taken for key in together if (taken := self.take(key, token, lease)) is not None]

    def put_back(self, key: Key, token: str) -> None:
        """Let a delivery that was taken be due again, as if it had not been."""
        with self._lock:
            kept = self._live.get(key)
            if kept is not None and kept.token == token:
                self._put_back(kept)

    def _put_back(self, kept: _Delivery) -> None:
        self._running.discard(kept)
        kept.state = State.DUE
        kept.token = None
        kept.attempts -= 1
        self._queue(kept)

    def due(self, endpoint: str, limit: int) -> Sequence[Due]:
        """Up to ``limit`` deliveries that :meth:`take` would give."""
        with self._lock:
            now = self.clock()
            left = self._left_behind(endpoint, now)
            alone, others = (
                self._queues[endpoint, is_alone].first(limit, now, self._live)
                if (endpoint, is_alone) in self._queues
                else []
                for is_alone in (True, False)
            )
            alone = sorted(left + alone, key=_due_at)[:limit]
            several = sorted(others + alone, key=_due_at)
            return [Due(kept.arrival.key, alone=kept.lapses > 0 or kept.state is _RUNNING) for kept in several]

    def _left_behind(self, endpoint: str, now: float) -> list[_Delivery]:
        """What runs, and whose lease ran out; put back what was merely claimed together with it."""
        first: dict[str | None, _Delivery] = {}
        lapsed = [one for one in self._running if one.arrival.key.endpoint == endpoint and _is_due(one, now)]
        for one in sorted(lapsed, key=lambda kept: (_due_at(kept), kept.arrival.key.id)):
            if first.setdefault(one.token, one) is not one:
                self._put_back(one)
        return list(first.values())

    def postpone(self, key: Key, due_at: float) -> None:
        """Let a delivery that is due be due at another time."""
        with self._lock:
            kept = self._live.get(key)
            if kept is not None and kept.state is State.DUE:
                kept.due_at = due_at
                self._queue(kept)

    def renew(self, key: Key, token: str, lease: float, mark: Mark | None = None) -> bool:
        """Hold a claim, and the turn of ``mark``, for ``lease`` seconds from now."""
        with self._lock:
            kept = self._live.get(key)
            holds = kept is not None and kept.token == token and kept.state is State.RUNNING
            until = self.clock() + lease
            if mark is not None and (held := self._marks.get(_about(key, mark))) and held.token == token:
                held.token, held.held_until = (token if holds else None), until
            if kept is not None and holds:
                kept.lease_until = until
            return holds

    def turn(self, key: Key, token: str, mark: Mark, lease: float) -> Turn:
        """Let a receiver that wants its events in order go on, or tell why not."""
        with self._lock:
            about, now = _about(key, mark), self.clock()
            held = self._marks.setdefault(about, _Mark())
            if held.latest is not None and held.latest > mark.at:
                return Turn.STALE
            if held.token not in (None, token) and held.held_until >= now:
                return Turn.BUSY
            held.token, held.held_until = token, now + lease
            self._marked.get((key.endpoint, held.delivery), set()).discard(about)
            held.delivery = key.id
            self._marked.setdefault((key.endpoint, key.id), set()).add(about)
            return Turn.GRANTED

    def record(
        self, key: Key, token: str, receipt: Receipt, settlement: Settlement | None, mark: Mark | None = None
    ) -> None:
        """Keep a receipt, and end the claim if asked to."""
        with self._lock:
            kept = self._held(key, token)
            before = kept.receipts.get(receipt.receiver)
            if before is not None and before.state is ReceiptState.DONE and receipt.state is not ReceiptState.DONE:
                raise claim_lost(key)  # what is done stays done
            kept.receipts[receipt.receiver] = receipt
            if mark is not None and (held := self._marks.get(_about(key, mark))) and held.token == token:
                held.token = None
                if receipt.state is ReceiptState.DONE:
                    held.latest = max(mark.at, held.latest or mark.at)
            if settlement is not None:
                self._end(key, kept, settlement)

    def settle(self, key: Key, token: str, settlement: Settlement) -> None:
        """End a claim."""
        with self._lock:
            self._end(key, self._held(key, token), settlement)

    def _held(self, key: Key, token: str) -> _Delivery:
        kept = self._live.get(key)
        if kept is None or kept.token != token:
            raise claim_lost(key)
        return kept

    def _end(self, key: Key, kept: _Delivery, settlement: Settlement) -> None:
        kept.token = None
        kept.state, kept.due_at = settlement
        kept.changed_at = self.clock()
        self._running.discard(kept)
        if kept.state is _DONE:
            self._bytes -= len(kept.arrival.body)
            del self._live[key]
            self._done[(key.endpoint, key.id)] = _flat(kept)
        elif kept.state is State.DUE:
            self._queue(kept)
        else:
            self._idle[key] = kept
            if kept.arrival.body:
                self._idle_with_body[key] = kept

    def replay(self, key: Key) -> bool:
        """Make a delivery due now; not one that is done, since its body is gone."""
        with self._lock:
            kept = self._live.get(key)
            if kept is None or kept.state is State.RUNNING or not kept.arrival.body:
                return False
            now = self.clock()
            self._make_due(kept, now, now)
            for name, receipt in kept.receipts.items():
                if receipt.state not in FINISHED:
                    kept.receipts[name] = receipt._replace(state=ReceiptState.FAILED, due_at=now)
            return True

    def is_stale(self, key: Key, mark: Mark, names: Sequence[str]) -> bool:
        """Whether the receiver that had one of ``names`` is done with a later event on the line of ``mark``."""
        with self._lock:
            ids = self._of_resource.get((key.endpoint, storable(mark.resource)), ())
            others = [Key(key.endpoint, delivery_id) for delivery_id in ids if delivery_id != key.id]
            return any(self._is_done_later(other, mark, names) for other in others)

    def _is_done_later(self, key: Key, mark: Mark, names: Sequence[str]) -> bool:
        kept = self._live.get(key) or _raised(key, self._done[key])
        updated_at, occurred_at = kept.arrival.updated_at, kept.arrival.occurred_at
        by = updated_at if mark.field == "updated_at" else None if updated_at is not None else occurred_at
        done = (one.receiver in names for one in kept.receipts.values() if one.state is ReceiptState.DONE)
        return by is not None and by > mark.at and any(done)

    def receivers(self, endpoint: str) -> Sequence[str]:
        """The names in the receipts of deliveries that are not done."""
        with self._lock:
            return sorted(
                {name for key, kept in self._live.items() if key.endpoint == endpoint for name in kept.receipts}
            )

    def get(self, key: Key) -> Stored | None:
        """The delivery, if it is kept."""
        with self._lock:
            return self._look(key)

    def _look(self, key: Key) -> Stored | None:
        live = self._live.get(key)
        if live is not None:
            return _stored(live)
        done = self._done.get(key)
        return None if done is None else _stored(_raised(key, done))._replace(body=None)

    def receipts(self, key: Key) -> Sequence[Receipt]:
        """The receipts of a delivery."""
        with self._lock:
            kept = self._live.get(key)
            if kept is None:
                done = self._done.get(key)
                kept = None if done is None else _raised(key, done)
            return [] if kept is None else list(kept.receipts.values())

    def find(self, endpoint: str, wanted: Filter, limit: int) -> Sequence[Stored]:
        """Up to ``limit`` deliveries, the latest first."""
        with self._lock:
            fitting = (about for about in self._all(endpoint) if _fits(about, wanted))
            latest = nsmallest(limit, fitting, key=lambda about: (-about.received_at, about.key.id))
            found = [self._look(about.key) for about in latest]
        return [kept._replace(body=None) for kept in found if kept is not None]

    def stats(self, endpoint: str) -> Stats:
        """Count the deliveries by state."""
        with self._lock:
            live = [kept for key, kept in self._live.items() if key.endpoint == endpoint]
            states = [kept.state for kept in live]
            counts = {state: sum(one is state for one in states) for state in UNFINISHED}
            since = self.clock() - DONE_WITHIN
            # What came since is done since.
            lately = takewhile(lambda one: one[1][1][4] >= since, reversed(self._done.items()))
            done = sum(of == endpoint and kept[1][2] >= since for (of, _), kept in lately)
        ages = [self.clock() - kept.received_at for kept in live if kept.state is not State.DEAD]
        return Stats(counts, done, max(0.0, *ages) if ages else None)

    def prune(self, endpoint: str, before: float, *, most: int | None = None) -> int:  # noqa: ARG002  # it takes no time
        """Delete what has not changed since ``before``."""
        with self._lock:
            every = self._all(endpoint)
            old = [about for about in every if about.changed_at < before and about.state in _CLAIMABLE]
            for about in old:
                self._drop(about.key)
        warn_of_dead_letters(sum(about.state is State.DEAD for about in old))
        return len(old)

    def _all(self, endpoint: str) -> Iterator[_About]:
        for key, kept in self._live.items():
            if key.endpoint == endpoint:
                one = kept.arrival
                yield _About(key, kept.state, one.event_type, one.account_id, kept.received_at, kept.changed_at)
        for (of, delivery_id), (about, counts, _) in self._done.items():
            if of == endpoint:
                yield _About(Key(of, delivery_id), _DONE, about[0], about[1], counts[2], counts[4])

    def _kept(self, key: Key) -> _Delivery | None:
        """The delivery, brought back if it was done."""
        kept = self._live.get(key)
        done = None if kept is not None else self._done.pop(key, None)
        if done is not None:
            kept = self._live[key] = _raised(key, done)
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


def _short(arrival: Arrival) -> Arrival:
    """An arrival whose texts are as long as they need to be, whatever the sender wrote."""
    _, event_type, account_id, resource, *_ = arrival
    short = (storable(event_type), account_id and storable(account_id), resource and storable(resource))
    if short == (event_type, account_id, resource):
        return arrival
    return arrival._replace(event_type=short[0], account_id=short[1], resource=short[2])


def _about(key: Key, mark: Mark) -> tuple[str, str, str]:
    return key.endpoint, mark.receiver, storable(mark.line)


def _due_at(kept: _Delivery) -> float:
    return kept.due_at or 0.0


def _is_due(kept: _Delivery, now: float) -> bool:
    if kept.state is State.DUE:
        return kept.due_at is not None and kept.due_at <= now
    return kept.state is State.RUNNING and kept.lease_until < now


def _flat(kept: _Delivery) -> _Done:
    arrival = kept.arrival
    return (
        arrival[1:8],
        (kept.attempts, kept.owned, kept.received_at, kept.opened_at, kept.changed_at),
        tuple(
            [(one.receiver, one.state.value, one.attempts, one.first_at, one.last_at) for one in kept.receipts.values()]
        ),
    )


def _raised(key: Key, done: _Done) -> _Delivery:
    """A done delivery as it was before it was flattened, but for its body."""
    about, counts, receipts = done
    kept = _Delivery(Arrival(key, *about, b""), counts[2])
    kept.state = State.DONE
    kept.attempts, kept.owned, kept.received_at, kept.opened_at, kept.changed_at = counts
    kept.receipts = {
        name: Receipt(name, ReceiptState(state), attempts, first_at, last_at)
        for name, state, attempts, first_at, last_at in receipts
    }
    return kept


def _stored(kept: _Delivery) -> Stored:
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


def _fits(kept: _About, wanted: Filter) -> bool:
    return (
        (not wanted.states or kept.state in wanted.states)
        and (wanted.event_type is None or fnmatchcase(kept.event_type, wanted.event_type))
        and (wanted.account_id is None or kept.account_id == wanted.account_id)
        and (wanted.since is None or kept.received_at >= wanted.since)
        and (wanted.until is None or kept.received_at < wanted.until)
    )
