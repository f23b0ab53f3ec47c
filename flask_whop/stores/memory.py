"""A store in the memory of the process: it forgets when the process ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from heapq import nlargest
from itertools import takewhile

from flask_whop.names import storable
from flask_whop.stores.memory_contents import (
    CLAIMABLE,
    RUNNING,
    Contents,
    Delivery,
    Progress,
    due_time,
    fits,
    is_due,
    progress_key,
    restored,
    shortened,
    stored_of,
)
from flask_whop.stores.protocol import Store, claim_lost, warn_of_dead_letters
from flask_whop.stores.records import (
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
    Origin,
    Receipt,
    ReceiptState,
    Settlement,
    State,
    Stats,
    Stored,
    Taken,
    Tally,
    Turn,
)

_FIRST = Claim(granted=True)


class MemoryStore(Contents, Store):
    """Remembers up to ``max_deliveries``, each for ``max_age`` seconds after its last change.

    Whop retries for about 71 hours (its webhooks guide), so an age under four days would
    forget too early. Beyond the number, the oldest go first, except those that are running or
    due. The bodies of done deliveries are dropped. The others keep up to ``max_bytes``, apart
    from those that are running or due: the oldest bodies go first, and a delivery without its
    body cannot be replayed by hand. ``clock`` gives the unix time.
    """

    def open(self, *, owned: bool, keep_bodies: bool) -> None:
        """Do nothing: memory is always ready, and never outlives the process."""

    def claim(self, arrival: Arrival, token: str, lease: float) -> Claim:
        """Claim a delivery while its sender waits."""
        with self._lock:
            now = self.clock()
            arrival = shortened(arrival)
            self._forget(now)
            delivery = self._get_live(arrival.key)
            if delivery is None:
                self._hold(self._add(arrival, now), token, now, lease)
                return _FIRST
            if delivery.arrival.origin is Origin.ERASED:
                self._end(arrival.key, delivery, Settlement(State.DONE))
                return Claim(granted=False, owned=True)
            if delivery.state not in CLAIMABLE and not (delivery.state is State.RUNNING and delivery.lease_until < now):
                return Claim(granted=False, owned=delivery.owned, attempts=delivery.attempts)
            self._give_body(delivery, arrival)
            delivery.owned = False
            self._hold(delivery, token, now, lease)
            return Claim(granted=True, attempts=delivery.attempts, receipts=dict(delivery.receipts))

    def accept(self, arrival: Arrival, due_in: float, hold: Hold | None = None) -> Accepted:
        """Make a delivery owned, and claim it at once if asked to."""
        with self._lock:
            now = self.clock()
            arrival = shortened(arrival)
            self._forget(now)
            if arrival.key in self._done:
                return Accepted(changed=False, state=State.DONE)
            delivery = self._live.get(arrival.key)
            if delivery is None:
                delivery = self._add(arrival, now)
            elif delivery.state is not State.FAILED and not (
                delivery.state is State.RUNNING and delivery.lease_until < now
            ):
                return Accepted(changed=False, state=delivery.state, owned=delivery.owned)
            delivery.lapses += delivery.state is State.RUNNING and delivery.attempts > 0
            self._give_body(delivery, arrival)
            self._make_due(delivery, now, now + due_in)
            if hold is None:
                return Accepted(changed=True, state=State.DUE)
            self._hold(delivery, hold.token, now, hold.lease)
            return Accepted(
                changed=True, state=delivery.state, attempts=delivery.attempts, receipts=dict(delivery.receipts)
            )

    def take(self, key: Key, token: str, lease: float, *, early: bool = False) -> Taken | None:
        """Claim a delivery that is due, or whose lease ran out."""
        with self._lock:
            now = self.clock()
            delivery = self._live.get(key)
            if delivery is None or not (is_due(delivery, now) or (early and delivery.state is State.DUE)):
                return None
            if not delivery.owned:
                delivery.owned = True
                delivery.opened_at = now
            self._hold(delivery, token, now, lease)
            return Taken(stored_of(delivery), dict(delivery.receipts))

    def take_due(self, endpoint: str, token: str, lease: float, limit: int) -> Sequence[Taken]:
        """Claim up to ``limit`` due deliveries that have not lapsed, together."""
        together = [one.key for one in self.due(endpoint, limit) if not one.alone]
        return [taken for key in together if (taken := self.take(key, token, lease)) is not None]

    def put_back(self, key: Key, token: str) -> None:
        """Make a claimed delivery due again, as if it had not been claimed."""
        with self._lock:
            delivery = self._live.get(key)
            if delivery is not None and delivery.token == token:
                self._put_back(delivery)

    def due(self, endpoint: str, limit: int) -> Sequence[Due]:
        """Return up to ``limit`` deliveries that :meth:`take` would claim."""
        with self._lock:
            now = self.clock()
            left = self._left_behind(endpoint, now)
            alone, others = (
                self._queues[endpoint, is_alone].first(limit, now, self._live)
                if (endpoint, is_alone) in self._queues
                else []
                for is_alone in (True, False)
            )
            alone = sorted(left + alone, key=due_time)[:limit]
            together = sorted(others + alone, key=due_time)
            return [
                Due(delivery.arrival.key, alone=delivery.lapses > 0 or delivery.state is RUNNING)
                for delivery in together
            ]

    def postpone(self, key: Key, due_at: float) -> None:
        """Make a due delivery due at another time."""
        with self._lock:
            delivery = self._live.get(key)
            if delivery is not None and delivery.state is State.DUE:
                delivery.due_at = due_at
                self._queue(delivery)

    def renew(self, key: Key, token: str, lease: float, mark: Mark | None = None) -> bool:
        """Hold a claim, and the turn of ``mark``, for ``lease`` seconds from now."""
        with self._lock:
            delivery = self._live.get(key)
            holds = delivery is not None and delivery.token == token and delivery.state is State.RUNNING
            until = self.clock() + lease
            if mark is not None and (held := self._marks.get(progress_key(key, mark))) and held.token == token:
                held.token, held.held_until = (token if holds else None), until
            if delivery is not None and holds:
                delivery.lease_until = until
            return holds

    def turn(self, key: Key, token: str, mark: Mark, lease: float) -> Turn:
        """Decide whether a receiver that wants its events in order may be called."""
        with self._lock:
            about, now = progress_key(key, mark), self.clock()
            held = self._marks.setdefault(about, Progress())
            if held.latest is not None and held.latest > mark.at:
                return Turn.STALE
            if held.token not in (None, token) and held.held_until >= now:
                return Turn.BUSY
            held.token, held.held_until = token, now + lease
            self._marked.get((key.endpoint, held.delivery), set()).discard(about)
            held.delivery = key.id
            if not mark.is_once:  # a key that is used up stays so, whatever is forgotten
                self._marked.setdefault((key.endpoint, key.id), set()).add(about)
            return Turn.GRANTED

    def record(
        self, key: Key, token: str, receipt: Receipt, settlement: Settlement | None, mark: Mark | None = None
    ) -> None:
        """Record a receipt, and end the claim if asked to."""
        with self._lock:
            delivery = self._held(key, token)
            before = delivery.receipts.get(receipt.receiver)
            if before is not None and before.state is ReceiptState.DONE and receipt.state is not ReceiptState.DONE:
                raise claim_lost(key)  # what is done stays done
            delivery.receipts[receipt.receiver] = receipt
            if mark is not None and (held := self._marks.get(progress_key(key, mark))) and held.token == token:
                held.token = None
                if receipt.state is ReceiptState.DONE:
                    held.latest = max(mark.at, held.latest or mark.at)
            if settlement is not None:
                self._end(key, delivery, settlement)

    def settle(self, key: Key, token: str, settlement: Settlement) -> None:
        """End a claim."""
        with self._lock:
            self._end(key, self._held(key, token), settlement)

    def replay(self, key: Key) -> bool:
        """Make a delivery due now; not one that is done, since its body is gone."""
        with self._lock:
            delivery = self._at_rest(key)
            if delivery is None:
                return False
            now = self.clock()
            self._make_due(delivery, now, now)
            for name, receipt in delivery.receipts.items():
                if receipt.state not in FINISHED:
                    delivery.receipts[name] = receipt._replace(state=ReceiptState.FAILED, due_at=now)
            return True

    def replay_some(
        self, key: Key, hold: Hold, again: Sequence[str], unless_finished: Sequence[str] = ()
    ) -> Taken | None:
        """Claim a delivery that nobody holds, to run some of its receivers again."""
        with self._lock:
            delivery = self._at_rest(key)
            if delivery is None:
                return None
            receipts = delivery.receipts
            if any(name in receipts and receipts[name].state in FINISHED for name in unless_finished):
                return None
            now = self.clock()
            for name in again:
                if name in receipts:
                    receipts[name] = receipts[name]._replace(state=ReceiptState.FAILED, due_at=now)
            self._make_due(delivery, now, now)
            self._hold(delivery, hold.token, now, hold.lease)
            return Taken(stored_of(delivery), dict(receipts))

    def _at_rest(self, key: Key) -> Delivery | None:
        """Return a delivery that nobody holds and that has its body."""
        delivery = self._live.get(key)
        if delivery is None or not delivery.arrival.body:
            return None
        held = delivery.state is State.RUNNING and delivery.lease_until >= self.clock()
        return None if held else delivery

    def is_stale(self, key: Key, mark: Mark, names: Sequence[str]) -> bool:
        """Return whether the receiver that had one of ``names`` is done with a later event on the line of ``mark``."""
        with self._lock:
            ids = self._of_resource.get((key.endpoint, storable(mark.resource)), ())
            others = [Key(key.endpoint, delivery_id) for delivery_id in ids if delivery_id != key.id]
            return any(self._is_done_later(other, mark, names) for other in others)

    def _is_done_later(self, key: Key, mark: Mark, names: Sequence[str]) -> bool:
        delivery = self._live.get(key) or restored(key, self._done[key])
        updated_at, occurred_at = delivery.arrival.updated_at, delivery.arrival.occurred_at
        by = updated_at if mark.field == "updated_at" else None if updated_at is not None else occurred_at
        done = (one.receiver in names for one in delivery.receipts.values() if one.state is ReceiptState.DONE)
        return by is not None and by > mark.at and any(done)

    def done_by(self, key: Key, mark: Mark) -> str | None:
        """Return the id of the delivery with which a key was used up."""
        with self._lock:
            held = self._marks.get(progress_key(key, mark))
            return None if held is None or held.latest is None else held.delivery

    def receivers(self, endpoint: str) -> Sequence[str]:
        """Return the names in the receipts of deliveries that are not done."""
        with self._lock:
            return sorted(
                {name for key, delivery in self._live.items() if key.endpoint == endpoint for name in delivery.receipts}
            )

    def get(self, key: Key) -> Stored | None:
        """Return the delivery, or None if there is none."""
        with self._lock:
            return self._look(key)

    def receipts(self, key: Key) -> Sequence[Receipt]:
        """Return the receipts of a delivery."""
        with self._lock:
            delivery = self._live.get(key)
            if delivery is None:
                done = self._done.get(key)
                delivery = None if done is None else restored(key, done)
            return [] if delivery is None else list(delivery.receipts.values())

    def find(self, endpoint: str, wanted: Filter, limit: int) -> Sequence[Stored]:
        """Return up to ``limit`` deliveries, the latest first."""
        with self._lock:
            fitting = (about for about in self._all(endpoint) if fits(about, wanted) and self._fits(about.key, wanted))
            latest = nlargest(limit, fitting, key=lambda about: (about.received_at, about.key.id))
            found = [self._look(about.key) for about in latest]
        return [delivery._replace(body=None) for delivery in found if delivery is not None]

    def note(self, endpoint: str, name: str) -> float | None:
        """Return the time that was noted under ``name``."""
        return self._notes.get((endpoint, name))

    def put_note(self, endpoint: str, name: str, at: float) -> None:
        """Note a time under ``name``."""
        with self._lock:
            self._notes[endpoint, name] = max(at, self._notes.get((endpoint, name), at))

    def _fits(self, key: Key, wanted: Filter) -> bool:
        """Return whether a delivery fits what its summary doesn't tell."""
        if not (wanted.resource or wanted.text or wanted.receiver or wanted.receipt_state):
            return True
        delivery = self._live.get(key) or restored(key, self._done[key])
        resource = delivery.arrival.resource
        ids = (key.id, delivery.arrival.account_id or "", resource or "", (resource or "").partition(":")[2])
        return (
            (wanted.resource is None or resource == wanted.resource)
            and (wanted.text is None or any(one.startswith(wanted.text) for one in ids))
            and (
                (wanted.receiver is None and wanted.receipt_state is None)
                or any(
                    wanted.receiver in (None, receipt.receiver) and wanted.receipt_state in (None, receipt.state)
                    for receipt in delivery.receipts.values()
                )
            )
        )

    def erase(self, keys: Sequence[Key]) -> int:
        """Forget the bodies of deliveries, and what their receivers raised and answered."""
        with self._lock:
            return sum(self._erase(key) for key in keys)

    def drop_bodies(self, endpoint: str, after: float, before: float) -> int:  # noqa: ARG002  # none is kept
        """Do nothing: a done delivery has no body here."""
        return 0

    def notes(self, endpoint: str, prefix: str) -> Mapping[str, float]:
        """Return the times that are noted under names that begin with ``prefix``."""
        with self._lock:
            return {name: at for (of, name), at in self._notes.items() if of == endpoint and name.startswith(prefix)}

    def drop_notes(self, endpoint: str, prefix: str, before: float) -> None:
        """Forget the times before ``before`` under names that begin with ``prefix``."""
        for name, at in self.notes(endpoint, prefix).items():
            if at < before:
                self._notes.pop((endpoint, name), None)

    def tally(self, endpoint: str, counts: Mapping[Tally, int]) -> None:
        """Add to what is counted."""
        with self._lock:
            for tally, counted in counts.items():
                self._tallies[endpoint, tally] = self._tallies.get((endpoint, tally), 0) + counted

    def tallies(self, endpoint: str, since: int, by_hour: str) -> Mapping[Tally, int]:
        """Return what was counted in the hour ``since`` and later: of one kind ``by_hour``, of the others in all."""
        found: Counter[Tally] = Counter()
        with self._lock:
            for (of, tally), counted in self._tallies.items():
                if of == endpoint and tally.hour >= since:
                    found[tally if tally.kind == by_hour else tally._replace(hour=since)] += counted
        return found

    def drop_tallies(self, endpoint: str, before: int) -> None:
        """Forget what was counted before the hour ``before``."""
        with self._lock:
            for of, tally in [about for about in self._tallies if about[0] == endpoint and about[1].hour < before]:
                del self._tallies[of, tally]

    def backlog(self, endpoint: str, most: int) -> int:
        """Count the deliveries that are due, up to ``most``."""
        return min(most, self.stats(endpoint).counts[State.DUE])

    def stats(self, endpoint: str) -> Stats:
        """Count the deliveries by state."""
        with self._lock:
            live = [delivery for key, delivery in self._live.items() if key.endpoint == endpoint]
            states = [delivery.state for delivery in live]
            counts = {state: sum(one is state for one in states) for state in UNFINISHED}
            since = self.clock() - DONE_WITHIN
            # A delivery that arrived since then was done since then.
            lately = takewhile(lambda one: one[1][1][4] >= since, reversed(self._done.items()))
            done = sum(of == endpoint and delivery[1][2] >= since for (of, _), delivery in lately)
        ages = [self.clock() - delivery.received_at for delivery in live if delivery.state is not State.DEAD]
        return Stats(counts, done, max(0.0, *ages) if ages else None)

    def prune(self, endpoint: str, before: float, *, most: int | None = None) -> int:  # noqa: ARG002  # it takes no time
        """Delete what has not changed since ``before``."""
        with self._lock:
            every = self._all(endpoint)
            old = [about for about in every if about.changed_at < before and about.state in CLAIMABLE]
            for about in old:
                self._drop(about.key)
        warn_of_dead_letters(sum(about.state is State.DEAD for about in old))
        return len(old)
