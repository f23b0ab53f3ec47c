"""The ways in for a delivery: processed while its sender waits, accepted as ours, or run later."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from flask_whop import signals
from flask_whop.engine.envelopes import OddEnvelopeLog
from flask_whop.engine.leases import LeaseKeeper, new_token
from flask_whop.engine.outcomes import Outcome as Outcome
from flask_whop.engine.outcomes import Status as Status
from flask_whop.engine.run import Run, Tools, calls_for
from flask_whop.errors import ClaimLost, Reason, Rejected, StoreUnavailable
from flask_whop.events import parse_event
from flask_whop.logs import log
from flask_whop.signals.kinds import AppSignal
from flask_whop.signature import Delivery
from flask_whop.stores import (
    FINISHED,
    Accepted,
    Arrival,
    Filter,
    Hold,
    Key,
    Receipt,
    ReceiptState,
    Settlement,
    State,
    Taken,
)

if TYPE_CHECKING:
    from flask_whop.engine.host import Host
    from flask_whop.engine.retries import RetryPolicy
    from flask_whop.events import AnyEvent
    from flask_whop.stores import Store

_MOST_DRIFT_LOGGED = 10
_COMPARED = 200
_BEFORE_AND_AFTER = 2


class Claimed(NamedTuple):
    """A delivery of ours that is claimed, and waits for its turn to run in this process."""

    taken: Taken
    token: str


class Engine:
    """Processes the deliveries of one app.

    ``accounts`` are the only accounts to take events of; empty takes all.
    ``fingerprints`` are those of the secrets, in their order. ``leases`` renews what is
    claimed.
    """

    def __init__(  # noqa: PLR0913  # what an app wires it to, each by name
        self,
        host: Host,
        store: Store,
        *,
        endpoint: str,
        accounts: frozenset[str],
        fingerprints: Sequence[str],
        retries: RetryPolicy,
        leases: LeaseKeeper,
    ) -> None:
        self.endpoint = endpoint
        self.leases = leases
        self._host = host
        self._accounts = accounts
        self._fingerprints = fingerprints
        self._retries = retries
        self._odd = OddEnvelopeLog()
        self.use(store)

    def use(self, store: Store) -> None:
        """Keep deliveries in ``store`` from now on."""
        self.store = store
        self._tools = Tools(store, self.leases, self._retries, self._host)

    def process(self, delivery: Delivery) -> Outcome:
        """Run every receiver that is not done with ``delivery`` yet, while its sender waits.

        Raises :class:`~flask_whop.errors.Rejected` if it is not an event for this app,
        and :class:`~flask_whop.errors.StoreUnavailable`. What receivers raise is in the
        outcome.
        """
        event = self._open(delivery)
        arrival = self._arrival(event, delivery)
        token = new_token()
        claim = self.store.claim(arrival, token, self.leases.lease)
        if claim.granted:
            first = claim.attempts == 1
            run = Run(self._tools, arrival.key, token, event, opened_at=None, earlier=claim.receipts, first=first)
            try:
                outcome = run.go()
            except ClaimLost as lost:
                log.warning("%s", lost)
                outcome = self._as_it_stands(arrival.key, event)
        else:
            outcome = Outcome(Status.DUPLICATE if claim.owned else Status.RUNNING, event)
        self._tell(outcome, delivery)
        return outcome

    def _as_it_stands(self, key: Key, event: AnyEvent) -> Outcome:
        """What a late holder answers for a delivery that somebody else has taken over."""
        kept = self.store.get(key)
        finished = kept is not None and (kept.state is State.DONE or kept.owned)
        return Outcome(Status.DUPLICATE if finished else Status.RUNNING, event)

    def accept(self, delivery: Delivery, *, due_in: float = 0.0) -> Outcome:
        """Keep ``delivery``, whose retry is ours from then on; :meth:`run` runs its receivers.

        ``due_in`` is how many seconds nobody else is to look for it. Raises what
        :meth:`process` raises.
        """
        event, arrival = self._to_be_accepted(delivery)
        return self._accepted(self.store.accept(arrival, due_in), delivery, event)

    def accept_and_hold(self, delivery: Delivery) -> tuple[Outcome, Callable[[], Outcome | None] | None]:
        """Keep ``delivery``, and hold it for this process; with what runs it, if there is something to run.

        What is not run before its lease ends is due then. Raises what :meth:`process` raises.
        """
        event, arrival = self._to_be_accepted(delivery)
        hold = Hold(new_token(), self.leases.lease)
        since, opened_at = time.monotonic(), self.store.clock()
        accepted = self.store.accept(arrival, 0.0, hold)
        outcome = self._accepted(accepted, delivery, event)
        if outcome.status is not Status.ACCEPTED:
            return outcome, None
        key = arrival.key
        if not accepted.changed:  # it has been replayed
            return outcome, partial(self.run, key, early=True)

        def run() -> Outcome | None:
            if time.monotonic() - since > hold.lease:
                return self.run(key)
            return self._run(delivery, event, hold.token, opened_at, accepted.attempts, accepted.receipts)

        return outcome, run

    def _to_be_accepted(self, delivery: Delivery) -> tuple[AnyEvent, Arrival]:
        event = self._open(delivery)
        names = tuple(call.name for call in calls_for(self._host, event))
        return event, self._arrival(event, delivery)._replace(receivers=names)

    def _accepted(self, accepted: Accepted, delivery: Delivery, event: AnyEvent) -> Outcome:
        changed, state, owned = accepted[:3]
        if not changed and state is State.RUNNING and not owned:
            outcome = Outcome(Status.RUNNING, event)
            self._tell(outcome, delivery)
            return outcome
        key = Key(self.endpoint, delivery.id)
        if not changed and state in (State.DONE, State.DEAD) and self._unfinished(key, event):
            changed = self.store.replay(key)
        outcome = Outcome(Status.ACCEPTED if changed else Status.DUPLICATE, event)
        if changed:
            self.notify(signals.delivery_accepted, delivery=delivery, event=event)
        else:
            self._tell(outcome, delivery)
        return outcome

    def announce(self) -> None:
        """Wake the workers that sleep, where the store can; they look by themselves too."""
        try:
            self.store.announce(self.endpoint)
        except StoreUnavailable:
            log.debug("The workers could not be told of a delivery.", exc_info=True)

    def run(self, key: Key, *, early: bool = False) -> Outcome | None:
        """Run what is due of a delivery whose retry is ours; None if nothing is, or somebody else took it over.

        A delivery that a dead process has left counts as due, and is ours from then on.
        ``early`` runs it before its time. Raises
        :class:`~flask_whop.errors.StoreUnavailable`.
        """
        token = new_token()
        taken = self.store.take(key, token, self.leases.lease, early=early)
        return None if taken is None else self._run_taken(taken, token)

    def take_due(self, limit: int) -> list[Claimed]:
        """Claim up to ``limit`` of what is due, to run them one after the other; all of them are held.

        Raises :class:`~flask_whop.errors.StoreUnavailable`.
        """
        token, since = new_token(), time.monotonic()
        taken = self.store.take_due(self.endpoint, token, self.leases.lease, limit)
        if taken:
            lifeline = self.store.lifeline()
            for one in taken:
                self.leases.hold(one.delivery.key, token, lifeline, since)
        return [Claimed(one, token) for one in taken]

    def run_claimed(self, claimed: Claimed) -> Outcome | None:
        """Run what :meth:`take_due` gave, as :meth:`run` does; None if its lease has run out meanwhile."""
        taken, token = claimed
        key = taken.delivery.key
        try:
            return self._run_taken(taken, token) if self.leases.holds(key, token) else None
        finally:
            self.leases.let_go(key, token)

    def put_back(self, claimed: Claimed) -> None:
        """Let somebody else run what :meth:`take_due` gave.

        Raises :class:`~flask_whop.errors.StoreUnavailable`; it is due again when its lease ends.
        """
        key = claimed.taken.delivery.key
        self.leases.let_go(key, claimed.token)
        self.store.put_back(key, claimed.token)

    def _run_taken(self, taken: Taken, token: str) -> Outcome | None:
        kept = taken.delivery
        delivery = Delivery(kept.key.id, kept.signed_at, kept.body or b"", kept.secret_index)
        event = parse_event(delivery.body, delivery.id)
        return self._run(delivery, event, token, kept.opened_at, kept.attempts, taken.receipts, kept.receivers)

    def _run(  # noqa: PLR0913, PLR0917  # what a claim tells
        self,
        delivery: Delivery,
        event: AnyEvent,
        token: str,
        opened_at: float,
        attempts: int,
        receipts: Mapping[str, Receipt],
        expected: Sequence[str] = (),
    ) -> Outcome | None:
        run = Run(
            self._tools,
            Key(self.endpoint, delivery.id),
            token,
            event,
            opened_at=opened_at,
            earlier=receipts,
            first=attempts == 1,
            expected=expected,
            tries=attempts,
        )
        try:
            outcome = run.go()
        except ClaimLost as lost:
            log.warning("%s", lost)
            return None
        self._tell(outcome, delivery)
        return outcome

    def drop(self, key: Key, receiver: str) -> bool:
        """Wait no longer for a receiver with a delivery that is due; False if it does not wait for that.

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

    def shares_endpoint(self) -> bool:
        """Whether another app, with secrets of its own, takes deliveries under the same endpoint.

        Deliveries by other secrets that all came before ours, or all after them, are
        those of a rotation. Raises :class:`~flask_whop.errors.StoreUnavailable`.
        """
        latest = self.store.find(self.endpoint, Filter(), _COMPARED)
        turns = groupby(kept.signer in self._fingerprints for kept in latest if kept.signer is not None)
        return len(list(turns)) > _BEFORE_AND_AFTER

    def notify(self, signal: AppSignal, **keywords: object) -> None:
        """Send a lifecycle signal; what its receivers raise is logged and goes no further."""
        self._host.notify(signal, **keywords)

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
            delivery.body,
            signer=self._fingerprints[delivery.secret_index],
        )

    def _unfinished(self, key: Key, event: AnyEvent) -> bool:
        finished = {receipt.receiver for receipt in self.store.receipts(key) if receipt.state in FINISHED}
        return any(finished.isdisjoint((call.name, *call.was)) for call in calls_for(self._host, event))

    def _tell(self, outcome: Outcome, delivery: Delivery) -> None:
        event = outcome.event
        if outcome.status is Status.UNHANDLED:
            self.notify(signals.event_unhandled, event=event)
        if outcome.status is Status.DEAD:
            log.error("Delivery %s dead-lettered: a receiver of %s ran out of retries.", delivery.id, event.type)
            self.notify(signals.delivery_dead_lettered, delivery=delivery, event=event)
        if outcome.status in (Status.DUPLICATE, Status.RUNNING):
            self.notify(signals.delivery_duplicated, delivery=delivery, event=event)
            return
        if event.drift_seen or (signals.payload_drifted.receivers and event.drift):
            log.warning(
                "%s %s does not fit its model at %s; its receivers got what came.",
                event.type,
                event.id,
                ", ".join(event.drift[:_MOST_DRIFT_LOGGED]),
            )
            self.notify(signals.payload_drifted, event=event)
        if outcome.status in (Status.PROCESSED, Status.UNHANDLED):
            self.notify(signals.delivery_processed, delivery=delivery, event=event)
