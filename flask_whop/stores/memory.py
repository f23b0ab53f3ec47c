"""A store in the memory of the process: it forgets when the process ends."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nsmallest
from itertools import takewhile

from flask_whop.names import storable
from flask_whop.stores.memory_contents import (
    CLAIMABLE,
    RUNNING,
    Contents,
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
    Receipt,
    ReceiptState,
    Settlement,
    State,
    Stats,
    Stored,
    Taken,
    Turn,
)

_FIRST = Claim(granted=True)


class MemoryStore(Contents, Store):
    """Remembers up to ``max_deliveries``, each for ``max_age`` seconds after its last change.

    Whop retries for about 71 hours (its webhooks guide), so that an age under four days
    would forget too early. Beyond the number, the oldest go first, except those that
    are being processed or due. The bodies of done deliveries are not kept, and of the
    others no more than ``max_bytes`` beside those that are being processed or due: the
    oldest go first, and what has lost its body cannot be replayed by hand. ``clock`` gives
    the unix time.
    """

    def open(self, *, owned: bool, keep_bodies: bool) -> None:
        """Do nothing: memory is ready, and nothing in it outlasts the process."""

    def claim(self, arrival: Arrival, token: str, lease: float) -> Claim:
        """Take a delivery for processing while its sender waits."""
        with self._lock:
            now = self.clock()
            arrival = shortened(arrival)
            self._forget(now)
            kept = self._kept(arrival.key)
            if kept is None:
                self._hold(self._add(arrival, now), token, now, lease)
                return _FIRST
            if kept.state not in CLAIMABLE and not (kept.state is State.RUNNING and kept.lease_until < now):
                return Claim(granted=False, owned=kept.owned, attempts=kept.attempts)
            self._give_body(kept, arrival)
            kept.owned = False
            self._hold(kept, token, now, lease)
            return Claim(granted=True, attempts=kept.attempts, receipts=dict(kept.receipts))

    def accept(self, arrival: Arrival, due_in: float, hold: Hold | None = None) -> Accepted:
        """Make a delivery ours, and hold it at once if asked to."""
        with self._lock:
            now = self.clock()
            arrival = shortened(arrival)
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
            if kept is None or not (is_due(kept, now) or (early and kept.state is State.DUE)):
                return None
            if not kept.owned:
                kept.owned = True
                kept.opened_at = now
            self._hold(kept, token, now, lease)
            return Taken(stored_of(kept), dict(kept.receipts))

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
            alone = sorted(left + alone, key=due_time)[:limit]
            several = sorted(others + alone, key=due_time)
            return [Due(kept.arrival.key, alone=kept.lapses > 0 or kept.state is RUNNING) for kept in several]

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
            if mark is not None and (held := self._marks.get(progress_key(key, mark))) and held.token == token:
                held.token, held.held_until = (token if holds else None), until
            if kept is not None and holds:
                kept.lease_until = until
            return holds

    def turn(self, key: Key, token: str, mark: Mark, lease: float) -> Turn:
        """Let a receiver that wants its events in order go on, or tell why not."""
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
            if mark is not None and (held := self._marks.get(progress_key(key, mark))) and held.token == token:
                held.token = None
                if receipt.state is ReceiptState.DONE:
                    held.latest = max(mark.at, held.latest or mark.at)
            if settlement is not None:
                self._end(key, kept, settlement)

    def settle(self, key: Key, token: str, settlement: Settlement) -> None:
        """End a claim."""
        with self._lock:
            self._end(key, self._held(key, token), settlement)

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
        kept = self._live.get(key) or restored(key, self._done[key])
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

    def receipts(self, key: Key) -> Sequence[Receipt]:
        """The receipts of a delivery."""
        with self._lock:
            kept = self._live.get(key)
            if kept is None:
                done = self._done.get(key)
                kept = None if done is None else restored(key, done)
            return [] if kept is None else list(kept.receipts.values())

    def find(self, endpoint: str, wanted: Filter, limit: int) -> Sequence[Stored]:
        """Up to ``limit`` deliveries, the latest first."""
        with self._lock:
            fitting = (about for about in self._all(endpoint) if fits(about, wanted))
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
            old = [about for about in every if about.changed_at < before and about.state in CLAIMABLE]
            for about in old:
                self._drop(about.key)
        warn_of_dead_letters(sum(about.state is State.DEAD for about in old))
        return len(old)
