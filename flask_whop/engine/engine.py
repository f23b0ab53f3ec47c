"""The entry points for deliveries: process one while Whop waits, accept one, run what is due."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from flask_whop import signals
from flask_whop.engine.announcing import announce_outcome
from flask_whop.engine.bodies import Bodies, Cipher
from flask_whop.engine.envelopes import OddEnvelopeLog
from flask_whop.engine.health import BacklogLimit
from flask_whop.engine.leases import LeaseKeeper, new_token
from flask_whop.engine.outcomes import Outcome, Status
from flask_whop.engine.recording import Holding
from flask_whop.engine.retention import Retention
from flask_whop.engine.retries import RetryPolicy
from flask_whop.engine.run import Run, Tools, answer_in
from flask_whop.engine.tracing import Kept
from flask_whop.errors import ClaimLost, NotReplayable, Reason, Rejected, SetupError, StoreUnavailable
from flask_whop.events import parse_event
from flask_whop.logs import log
from flask_whop.signals.app_signal import AppSignal
from flask_whop.signature import Delivery, fingerprint
from flask_whop.stores import (
    FINISHED,
    Accepted,
    Arrival,
    Hold,
    Key,
    MemoryStore,
    Origin,
    Receipt,
    ReceiptState,
    Settlement,
    State,
    Taken,
)

if TYPE_CHECKING:
    from flask_whop.config import Settings
    from flask_whop.engine.host import Host
    from flask_whop.engine.tracing import Tracing
    from flask_whop.events import AnyEvent
    from flask_whop.signals.terms import Call
    from flask_whop.stores import Store


class Claimed(NamedTuple):
    """An owned delivery that this process has claimed, and that waits for its turn to run."""

    taken: Taken
    token: str


class Engine:
    """Processes the deliveries of one app.

    An app under test never uses the default file, or earlier test runs would leak in:
    ``on_default_file`` says that ``store`` is that file, and memory replaces it once
    ``TESTING`` is on.
    """

    def __init__(
        self,
        host: Host,
        store: Store,
        settings: Settings,
        *,
        cipher: Cipher | None = None,
        on_default_file: bool = False,
    ) -> None:
        self.endpoint: str = settings.endpoint
        self.leases: LeaseKeeper = LeaseKeeper(longest=settings.longest_call)
        self.fingerprints: list[str] = [fingerprint(secret) for secret in settings.secrets]
        """Those of the secrets, in their order."""
        self._host = host
        self._accounts = settings.accounts
        self._inline = not settings.dispatch.owned
        self._retries = RetryPolicy(settings.retry_first, settings.retry_longest, settings.retry_for)
        self._odd = OddEnvelopeLog()
        self._limit = BacklogLimit(settings.most_due)
        self.bodies: Bodies = Bodies(cipher)
        self.retention: Retention = Retention(lambda: self.store, settings)
        self._on_default_file = on_default_file
        self._store = store

    @property
    def store(self) -> Store:
        """Where deliveries are kept; the only way to it."""
        if self._on_default_file and self._host.app.testing:
            self.leave_default_file()
        return self._store

    def use(self, store: Store) -> None:
        """Keep deliveries in ``store`` from now on."""
        self._on_default_file = False
        self._store = store

    @contextmanager
    def using(self, store: Store) -> Iterator[None]:
        """Keep deliveries in ``store`` while the block runs."""
        before = self._store, self._on_default_file
        self.use(store)
        try:
            yield
        finally:
            self._store, self._on_default_file = before

    def leave_default_file(self) -> None:
        """Use memory instead of the default file, if that's the store."""
        if self._on_default_file:
            self.use(MemoryStore(clock=self._store.clock))

    # Deliveries that arrive.

    def process(self, delivery: Delivery) -> Outcome:
        """Run every receiver that isn't done with ``delivery``, while Whop waits.

        Raises :class:`~flask_whop.errors.Rejected` if it isn't an event for this app,
        and :class:`~flask_whop.errors.StoreUnavailable`. What receivers raise is in the
        outcome.
        """
        event = self._open(delivery)
        tracing = self._host.tracing
        if tracing is None:
            return self._process(delivery, event)
        return tracing.process(event, delivery.id, None, partial(self._process, delivery, event))

    def _process(self, delivery: Delivery, event: AnyEvent) -> Outcome:
        arrival, token = self._arrival(event, delivery), new_token()
        claim = self.store.claim(arrival, token, self.leases.lease)
        if claim.granted:
            try:
                outcome = self._pass(Holding(arrival.key, token, claim.attempts, claim.receipts), event)
            except ClaimLost as lost:
                log.warning("%s", lost)
                outcome = self._as_it_stands(arrival.key, event)
        else:
            outcome = Outcome(Status.DUPLICATE if claim.owned else Status.RUNNING, event)
        if event.wants_answer and outcome.status is Status.DUPLICATE and outcome.answer is None:
            outcome = outcome._replace(answer=answer_in(self.store.receipts(arrival.key)))
        announce_outcome(self._host, outcome, delivery)
        return outcome

    def accept(self, delivery: Delivery, *, due_in: float = 0.0) -> Outcome:
        """Store ``delivery``, which is owned from then on; :meth:`run` runs its receivers.

        Nobody else looks for it for ``due_in`` seconds. Raises what :meth:`process`
        raises.
        """
        return self._accept(delivery, due_in).outcome

    def accept_and_hold(self, delivery: Delivery) -> tuple[Outcome, Callable[[], Outcome | None] | None]:
        """Store ``delivery`` like :meth:`accept`, and claim it; also return what runs it, if anything is to run.

        If that isn't called before the lease ends, the delivery is due. Raises what
        :meth:`process` raises.
        """
        hold = Hold(new_token(), self.leases.lease)
        outcome, accepted, since, opened_at, trace = self._accept(delivery, 0.0, hold)
        if outcome.status is not Status.ACCEPTED:
            return outcome, None
        key = Key(self.endpoint, delivery.id)
        if not accepted.changed:  # it has been replayed
            return outcome, partial(self.run, key, early=True)
        holding = Holding(key, hold.token, accepted.attempts, accepted.receipts, owned=True, opened_at=opened_at)

        def run() -> Outcome | None:
            if time.monotonic() - since > hold.lease:
                return self.run(key)
            return self._run(holding, outcome.event, delivery, trace)

        return outcome, run

    # Deliveries that are ours.

    def run(self, key: Key, *, early: bool = False) -> Outcome | None:
        """Run what is due of an owned delivery; None if nothing is, or another process took it over.

        A delivery left behind by a dead process counts as due, and is owned from then
        on. ``early`` runs it before its time. Raises
        :class:`~flask_whop.errors.StoreUnavailable`.
        """
        token = new_token()
        taken = self.store.take(key, token, self.leases.lease, early=early)
        return None if taken is None else self._run_taken(taken, token)

    def replay(self, key: Key, receivers: Collection[str] = (), *, force: bool = False) -> Outcome | None:
        """Own a delivery again and run its unfinished receivers now, dead-lettered ones included.

        ``receivers`` names those to run, instead of all. ``force`` runs even those of them
        that have finished it; they get the same ``idempotency_key`` as before. None if
        another process took it over. Raises :class:`~flask_whop.errors.NotReplayable` and
        :class:`~flask_whop.errors.StoreUnavailable`.
        """
        if not receivers:
            if not self.store.replay(key):
                raise NotReplayable(f"Delivery {key.id} can't be replayed: it's running now, or its payload is gone.")
            return self.run(key, early=True)
        names = self._names_of(key, receivers)
        hold = Hold(new_token(), self.leases.lease)
        taken = self.store.replay_some(key, hold, list(receivers), () if force else names)
        if taken is None:
            raise NotReplayable(
                f"Delivery {key.id} can't be replayed: it's running now, its payload is gone, or"
                f" {', '.join(receivers)} has finished it, and only a forced replay runs it again."
            )
        return self._run_taken(taken, hold.token, frozenset(receivers))

    def _names_of(self, key: Key, receivers: Collection[str]) -> list[str]:
        """All names of the receivers that are to run, the former ones included."""
        stored = self.store.get(key)
        body = None if stored is None else self.bodies.opened(stored)
        if body is None:
            raise NotReplayable(f"Delivery {key.id} can't be replayed: there is none, or its payload is gone.")
        calls = {call.name: call for call in self._host.calls_for(parse_event(body, key.id))}
        if unknown := [receiver for receiver in receivers if receiver not in calls]:
            raise NotReplayable(f"No receiver of delivery {key.id} is called {', '.join(unknown)}.")
        return [name for receiver in receivers for name in calls[receiver].names]

    def calls_for(self, event: AnyEvent) -> Sequence[Call]:
        """Return the calls to the receivers of ``event`` in this app."""
        return self._host.calls_for(event)

    def take_due(self, limit: int) -> list[Claimed]:
        """Claim up to ``limit`` deliveries that are due, to run them one after the other.

        Raises :class:`~flask_whop.errors.StoreUnavailable`.
        """
        token, since = new_token(), time.monotonic()
        taken = self.store.take_due(self.endpoint, token, self.leases.lease, limit)
        if taken:
            lifeline = self.store.lifeline()
            for each in taken:
                self.leases.hold(each.delivery.key, token, lifeline, since)
        return [Claimed(each, token) for each in taken]

    def run_claimed(self, claimed: Claimed) -> Outcome | None:
        """Run a delivery of :meth:`take_due`; None if its lease has run out."""
        taken, token = claimed
        key = taken.delivery.key
        try:
            return self._run_taken(taken, token) if self.leases.holds(key, token) else None
        finally:
            self.leases.let_go(key, token)

    def put_back(self, claimed: Claimed) -> None:
        """Let another process run a delivery of :meth:`take_due`.

        Raises :class:`~flask_whop.errors.StoreUnavailable`; then it's due when its lease ends.
        """
        key = claimed.taken.delivery.key
        self.leases.let_go(key, claimed.token)
        self.store.put_back(key, claimed.token)

    def drop(self, key: Key, receiver: str) -> bool:
        """Stop waiting for a receiver of a due delivery; False if the delivery doesn't wait for it.

        Raises :class:`~flask_whop.errors.ClaimLost` and
        :class:`~flask_whop.errors.StoreUnavailable`.
        """
        token = new_token()
        taken = self.store.take(key, token, self.leases.lease, early=True)
        if taken is None:
            return False
        now = self.store.clock()
        due_now = Settlement(State.DUE, now)
        before = taken.receipts.get(receiver, Receipt(receiver, ReceiptState.FAILED, 0, now, now))
        if before.state in FINISHED:
            self.store.settle(key, token, due_now)
            return False
        self.store.record(key, token, Receipt(receiver, ReceiptState.SKIPPED, before.attempts, now, now), due_now)
        return True

    def take_over(self, key: Key) -> Outcome | None:
        """Run what Whop's retry, or a dead process, has left unfinished: from now on it's ours.

        It runs at once where receivers run before the answer, and otherwise becomes due.
        None if it's running, finished, or due already. Raises
        :class:`~flask_whop.errors.StoreUnavailable`.
        """
        stored = self.store.get(key)
        if stored is None or stored.state not in (State.FAILED, State.RUNNING):
            return None
        if stored.state is State.FAILED and not self.store.replay(key):
            return None
        if self._inline or stored.state is State.RUNNING:
            return self.run(key, early=True)
        self.announce()
        return Outcome(Status.ACCEPTED, parse_event(self.bodies.opened(stored) or b"", key.id))

    # Signals.

    def announce(self) -> None:
        """Wake sleeping workers, if the store can; they also look on their own."""
        try:
            self.store.announce(self.endpoint)
        except StoreUnavailable:
            log.debug("The workers couldn't be woken for a delivery.", exc_info=True)

    def notify(self, signal: AppSignal, **keywords: object) -> None:
        """Send a lifecycle signal; what its receivers raise is logged and goes no further."""
        self._host.notify(signal, **keywords)

    def trace_with(self, tracing: Tracing) -> None:
        """Let ``tracing`` put spans around deliveries and calls.

        Raises :class:`~flask_whop.errors.SetupError` if something else does.
        """
        if self._host.tracing is not None:
            raise SetupError("The deliveries of this app are traced already: make one WhopTracing for each app.")
        self._host.tracing = tracing

    def report(self, error: Exception) -> None:
        """Report an error to the app's error trackers."""
        self._host.report(error)

    # Opening, accepting, running.

    def _open(self, delivery: Delivery) -> AnyEvent:
        self.notify(signals.delivery_received, delivery=delivery)
        event = parse_event(delivery.body, delivery.id)
        if self._accounts and event.account_id is not None and event.account_id not in self._accounts:
            raise Rejected(Reason.FOREIGN_ACCOUNT, delivery.id)
        self._odd.look_at(event)
        return event

    def _arrival(self, event: AnyEvent, delivery: Delivery) -> Arrival:
        occurred_at, updated_at = event.timestamp, event.updated_at
        return Arrival(
            Key(self.endpoint, delivery.id),
            event.type,
            event.account_id,
            event.resource,
            None if occurred_at is None else occurred_at.timestamp(),
            None if updated_at is None else updated_at.timestamp(),
            delivery.timestamp,
            delivery.secret_index,
            self.bodies.sealed(delivery.body),
            signer=None if delivery.secret_index is None else self.fingerprints[delivery.secret_index],
            origin=Origin.ARRIVED if delivery.secret_index is not None else Origin.PULLED,
            trace=None if self._host.tracing is None else self._host.tracing.here(),
        )

    def _accept(self, delivery: Delivery, due_in: float, hold: Hold | None = None) -> Kept:
        self._limit.check(self.store, self.endpoint)
        event = self._open(delivery)
        tracing = self._host.tracing
        if tracing is None:
            return self._keep(delivery, event, due_in, hold)
        return tracing.accept(event, delivery.id, partial(self._keep, delivery, event, due_in, hold))

    def _keep(self, delivery: Delivery, event: AnyEvent, due_in: float, hold: Hold | None) -> Kept:
        names = tuple(call.name for call in self._host.calls_for(event))
        arrival = self._arrival(event, delivery)._replace(receivers=names)
        since, opened_at = time.monotonic(), self.store.clock()
        accepted = self.store.accept(arrival, due_in, hold)
        return Kept(self._accepted(accepted, delivery, event), accepted, since, opened_at, arrival.trace)

    def _accepted(self, accepted: Accepted, delivery: Delivery, event: AnyEvent) -> Outcome:
        changed, state, owned = accepted[:3]
        if not changed and state is State.RUNNING and not owned:
            outcome = Outcome(Status.RUNNING, event)
            announce_outcome(self._host, outcome, delivery)
            return outcome
        key = Key(self.endpoint, delivery.id)
        if not changed and state in (State.DONE, State.DEAD) and self._unfinished(key, event):
            changed = self.store.replay(key)
        outcome = Outcome(Status.ACCEPTED if changed else Status.DUPLICATE, event)
        if changed:
            self.notify(signals.delivery_accepted, delivery=delivery, event=event)
        else:
            announce_outcome(self._host, outcome, delivery)
        return outcome

    def _unfinished(self, key: Key, event: AnyEvent) -> bool:
        finished = {receipt.receiver for receipt in self.store.receipts(key) if receipt.state in FINISHED}
        return any(finished.isdisjoint(call.names) for call in self._host.calls_for(event))

    def _as_it_stands(self, key: Key, event: AnyEvent) -> Outcome:
        """What a late holder answers for a delivery that another process has taken over."""
        stored = self.store.get(key)
        finished = stored is not None and (stored.state is State.DONE or stored.owned)
        return Outcome(Status.DUPLICATE if finished else Status.RUNNING, event)

    def _run_taken(self, taken: Taken, token: str, only: frozenset[str] = frozenset()) -> Outcome | None:
        stored, receipts = taken
        body = self.bodies.opened(stored) or b""
        delivery = Delivery(stored.key.id, stored.signed_at, body, stored.secret_index, stored.received_at)
        event = parse_event(delivery.body, delivery.id)
        holding = Holding(
            stored.key,
            token,
            stored.attempts,
            receipts,
            owned=True,
            opened_at=stored.opened_at,
            expected=stored.receivers,
            only=only,
        )
        return self._run(holding, event, delivery, stored.trace)

    def _run(self, holding: Holding, event: AnyEvent, delivery: Delivery, trace: str | None) -> Outcome | None:
        tracing = self._host.tracing
        if tracing is None:
            return self._finish(holding, event, delivery)
        return tracing.process(event, delivery.id, trace, partial(self._finish, holding, event, delivery))

    def _finish(self, holding: Holding, event: AnyEvent, delivery: Delivery) -> Outcome | None:
        try:
            outcome = self._pass(holding, event)
        except ClaimLost as lost:
            log.warning("%s", lost)
            return None
        announce_outcome(self._host, outcome, delivery)
        return outcome

    def _pass(self, holding: Holding, event: AnyEvent) -> Outcome:
        return Run(Tools(self.store, self.leases, self._retries, self._host), holding, event).go()
