"""Takes a delivery through its receivers, each on its own, each once."""

from __future__ import annotations

import inspect
import logging
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from flask_whop import signals
from flask_whop.errors import GiveUp, MissingExtraError, Reason, Rejected, RetryLater, StoreUnavailable
from flask_whop.events import AnyEvent, UnknownEvent, parse_event
from flask_whop.leases import LeaseKeeper, new_token
from flask_whop.receivers import AppSignal, Call
from flask_whop.signature import Delivery
from flask_whop.stores import FINISHED, Arrival, Key, Receipt, ReceiptState, Settlement, State

if TYPE_CHECKING:
    from flask import Flask

    from flask_whop.retries import RetryPolicy
    from flask_whop.stores import Store

log: logging.Logger = logging.getLogger("flask_whop")

_MOST_DRIFT_LOGGED = 10
_TRACEBACK_CHARACTERS = 2000


class Status(str, Enum):
    """What became of a delivery."""

    PROCESSED = "processed"
    """Every receiver is done with it."""
    UNHANDLED = "unhandled"
    """No receiver is connected to its event."""
    ACCEPTED = "accepted"
    """It is kept, and its retry is ours."""
    DUPLICATE = "duplicate"
    """It had been finished before, or its retry was ours already."""
    RUNNING = "running"
    """It is being processed by somebody else at this moment."""
    RETRY_LATER = "retry_later"
    """A receiver asked to be called later."""
    FAILED = "failed"
    """A receiver raised."""
    DEAD = "dead"
    """A receiver raised, and is not called again."""


class Outcome(NamedTuple):
    """What became of a delivery, and of which event it was."""

    status: Status
    event: AnyEvent
    ran: int = 0
    """How many receivers were called."""
    failed: int = 0
    """How many of them are not done."""
    retry_after: float | None = None
    """When to try again, in seconds, if somebody named a time."""


@dataclass(slots=True)
class _Run:
    """One time that receivers are called with a delivery."""

    key: Key
    token: str
    event: AnyEvent
    resource: str | None
    occurred_at: float | None
    opened_at: float | None
    """When the delivery became ours, in unix seconds; None while its retry is Whop's."""
    earlier: Mapping[str, Receipt]
    errors: list[Exception] = field(default_factory=list)
    waiting: list[float] = field(default_factory=list)
    """When the receivers that failed are due, in unix seconds."""
    dead: int = 0
    """How many receivers are not called again, and not done."""


class Engine:
    """Processes the deliveries of one app.

    ``accounts`` are the only accounts to take events of; empty takes all. ``wait``
    awaits what an asynchronous receiver returned. ``report`` is told what a receiver
    raised. ``clock`` gives the unix time.
    """

    def __init__(  # noqa: PLR0913  # what an app wires it to, each by name
        self,
        app: Flask,
        store: Store,
        *,
        endpoint: str,
        accounts: frozenset[str],
        retries: RetryPolicy,
        wait: Callable[[Awaitable[object]], object],
        report: Callable[[Exception], object],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.use(store)
        self.endpoint = endpoint
        self._app = app
        self._accounts = accounts
        self._retries = retries
        self._wait = wait
        self._report = report
        self.clock = clock

    def use(self, store: Store) -> None:
        """Keep deliveries in ``store`` from now on."""
        self.store = store
        self._leases = LeaseKeeper(store)

    def process(self, delivery: Delivery) -> Outcome:
        """Run every receiver that is not done with ``delivery`` yet, while its sender waits.

        Raises :class:`~flask_whop.errors.Rejected` if it is not an event for this app,
        and :class:`~flask_whop.errors.StoreUnavailable`. What receivers raise is in the
        outcome.
        """
        event = self._open(delivery)
        arrival = self._arrival(event, delivery)
        token = new_token()
        claim = self.store.claim(arrival, token, self._leases.lease)
        if claim.granted:
            run = _Run(arrival.key, token, event, arrival.resource, arrival.occurred_at, None, claim.receipts)
            outcome = self._run(run, repeated=claim.attempts > 1)
        else:
            outcome = Outcome(Status.DUPLICATE if claim.owned else Status.RUNNING, event)
        self._tell(outcome, delivery)
        return outcome

    def accept(self, delivery: Delivery, *, due_in: float = 0.0) -> Outcome:
        """Keep ``delivery``, whose retry is ours from then on; :meth:`run` runs its receivers.

        ``due_in`` is how many seconds nobody else is to look for it. Raises what
        :meth:`process` raises.
        """
        event = self._open(delivery)
        arrival = self._arrival(event, delivery)
        changed, state, owned = self.store.accept(arrival, due_in)
        if state is State.RUNNING and not owned:
            outcome = Outcome(Status.RUNNING, event)
            self._tell(outcome, delivery)
            return outcome
        if not changed and state in (State.DONE, State.DEAD) and self._unfinished(arrival.key, event):
            changed = self.store.replay(arrival.key)
        outcome = Outcome(Status.ACCEPTED if changed else Status.DUPLICATE, event)
        if changed:
            self.notify(signals.delivery_accepted, delivery=delivery, event=event)
        else:
            self._tell(outcome, delivery)
        return outcome

    def run(self, key: Key, *, early: bool = False) -> Outcome | None:
        """Run what is due of a delivery whose retry is ours; None if nothing is.

        A delivery that a dead process has left counts as due, and is ours from then on.
        ``early`` runs it before its time. Raises
        :class:`~flask_whop.errors.StoreUnavailable`.
        """
        token = new_token()
        taken = self.store.take(key, token, self._leases.lease, early=early)
        if taken is None:
            return None
        kept = taken.delivery
        delivery = Delivery(key.id, kept.signed_at, kept.body or b"", kept.secret_index)
        event = parse_event(delivery.body, delivery.id)
        run = _Run(key, token, event, event.resource, _occurred_at(event), kept.opened_at, taken.receipts)
        outcome = self._run(run, repeated=bool(taken.receipts))
        self._tell(outcome, delivery)
        return outcome

    def notify(self, signal: AppSignal, **keywords: object) -> None:
        """Send a lifecycle signal; what its receivers raise is logged and goes no further."""
        if not signal.receivers:
            return
        for name, receiver, *_ in signal.calls_for(self._app):
            try:
                self._await(name, receiver(self._app, **keywords))
            except Exception:
                log.exception("%s, a receiver of %s, raised; the delivery goes on.", name, signal.name)

    def _open(self, delivery: Delivery) -> AnyEvent:
        self.notify(signals.delivery_received, delivery=delivery)
        event = parse_event(delivery.body, delivery.id)
        if self._accounts and event.account_id is not None and event.account_id not in self._accounts:
            raise Rejected(Reason.FOREIGN_ACCOUNT, delivery.id)
        return event

    def _arrival(self, event: AnyEvent, delivery: Delivery) -> Arrival:
        return Arrival(
            Key(self.endpoint, delivery.id),
            event.type,
            event.account_id,
            event.resource,
            _occurred_at(event),
            delivery.timestamp,
            delivery.secret_index,
            delivery.body,
        )

    def _unfinished(self, key: Key, event: AnyEvent) -> bool:
        finished = {receipt.receiver for receipt in self.store.receipts(key) if receipt.state in FINISHED}
        return any(call.name not in finished for call in self._calls(event))

    def _run(self, run: _Run, *, repeated: bool) -> Outcome:
        calls = [call for call in self._calls(run.event) if self._is_to_be_called(call, run)]
        if not calls:
            settlement = self._settlement(run)
            self.store.settle(run.key, run.token, settlement)
            if settlement.state is State.DONE:
                return Outcome(Status.DUPLICATE if repeated else Status.UNHANDLED, run.event)
            return self._outcome(run, 0)
        run.event.overtaken_if(self._asking_for_newer(run))
        self._leases.hold(run.key, run.token)
        try:
            for index, call in enumerate(calls, 1):
                self._call(call, run, last=index == len(calls))
        except StoreUnavailable:
            raise
        except BaseException:
            # The process is told to stop in the middle of a receiver: let the next try have it at once.
            self.store.settle(run.key, run.token, self._interrupted(run))
            raise
        finally:
            self._leases.let_go(run.token)
        return self._outcome(run, len(calls))

    def _asking_for_newer(self, run: _Run) -> Callable[[], bool]:
        # Of values alone: with the event in it, the two would hold each other until the
        # garbage collector comes.
        store, key, resource, occurred_at = self.store, run.key, run.resource, run.occurred_at

        def newer() -> bool:
            return resource is not None and occurred_at is not None and store.newer(key, resource, occurred_at)

        return newer

    def _is_to_be_called(self, call: Call, run: _Run) -> bool:
        receipt = run.earlier.get(call.name)
        if receipt is None or run.opened_at is None:
            return receipt is None or receipt.state not in FINISHED
        if receipt.state is ReceiptState.FAILED and receipt.due_at is not None and receipt.due_at > self.clock():
            run.waiting.append(receipt.due_at)
            return False
        if receipt.state is ReceiptState.DEAD:
            run.dead += 1
        return receipt.state is ReceiptState.FAILED

    def _calls(self, event: AnyEvent) -> list[Call]:
        if isinstance(event, UnknownEvent):
            calls = signals.unknown_event.calls_for_type(self._app, event.type)
        else:
            calls = signals.EVENT_SIGNALS[event.type].calls_for(self._app)
        return calls if len(calls) < 2 else _tell_apart(calls)  # noqa: PLR2004

    def _call(self, call: Call, run: _Run, *, last: bool) -> None:
        """Call one receiver and keep its receipt; end the claim with the last one."""
        started = self.clock()
        if call.skip_stale and run.event.stale:
            log.info("%s is spared %s %s: a newer one has been processed.", call.name, run.event.type, run.event.id)
            error, state = None, ReceiptState.SKIPPED
        else:
            error = self._attempt(call, run.event)
            state = ReceiptState.GIVEN_UP if isinstance(error, GiveUp) else ReceiptState.DONE
        try:
            if error is None or state is ReceiptState.GIVEN_UP:
                self._keep(call, run, state, started, error, last=last)
                return
        except StoreUnavailable:
            raise
        except Exception as failure:
            # A store that shares the receiver's transaction could not commit its writes.
            log.exception("The writes of %s for %s %s could not be committed.", call.name, run.event.type, run.event.id)
            self._report(failure)
            self.notify(signals.receiver_failed, event=run.event, receiver=call.name, error=failure)
            error = failure
        run.errors.append(error)
        self._keep(call, run, ReceiptState.FAILED, started, error, last=last)

    def _keep(  # noqa: PLR0913  # what a receipt is made of
        self, call: Call, run: _Run, state: ReceiptState, started: float, error: Exception | None, *, last: bool
    ) -> None:
        before = run.earlier.get(call.name)
        attempts = 1 if before is None else before.attempts + 1
        due_at = None
        if state is ReceiptState.FAILED and run.opened_at is not None:
            wish = error.after if isinstance(error, RetryLater) else None
            due_at = self._retries.next_due(attempts, run.opened_at, self.clock(), wish)
            if due_at is None:
                state = ReceiptState.DEAD
                run.dead += 1
            else:
                run.waiting.append(due_at)
        first_at = started if before is None else before.first_at
        receipt = Receipt(call.name, state, attempts, first_at, started, due_at, _told(error))
        self.store.record(run.key, run.token, receipt, self._settlement(run) if last else None)

    def _settlement(self, run: _Run) -> Settlement:
        """How the claim ends, as things stand."""
        if run.waiting:
            return Settlement(State.DUE, min(run.waiting))
        if run.dead:
            return Settlement(State.DEAD)
        return Settlement(State.FAILED if run.errors else State.DONE)

    def _interrupted(self, run: _Run) -> Settlement:
        return Settlement(State.FAILED) if run.opened_at is None else Settlement(State.DUE, self.clock())

    def _attempt(self, call: Call, event: AnyEvent) -> Exception | None:
        """Call one receiver; return what it raised."""
        name, receiver, *_ = call
        try:
            self._await(name, receiver(self._app, event=event))
        except RetryLater as error:
            log.info("%s puts %s %s off for %.0f s.", name, event.type, event.id, error.after)
            failure: Exception = error
        except GiveUp as error:
            log.exception("%s gives %s %s up; it will not be called with it again.", name, event.type, event.id)
            failure = error
        except Exception as error:
            log.exception("%s failed with %s %s.", name, event.type, event.id)
            self._report(error)
            failure = error
        else:
            return None
        self.notify(signals.receiver_failed, event=event, receiver=name, error=failure)
        return failure

    def _await(self, name: str, result: object) -> None:
        """Await what a receiver returned, if it is to be awaited: that is the only sure sign of it."""
        if result is None or not inspect.isawaitable(result):
            return
        try:
            self._wait(result)
        except MissingExtraError:
            if inspect.iscoroutine(result):
                result.close()
            raise MissingExtraError(f'{name} gave a coroutine, which needs: pip install "flask-whop[async]"') from None

    def _outcome(self, run: _Run, ran: int) -> Outcome:
        failed = len(run.errors)
        if run.waiting:
            return Outcome(Status.RETRY_LATER, run.event, ran, failed, max(0.0, min(run.waiting) - self.clock()))
        if run.dead:
            return Outcome(Status.DEAD, run.event, ran, failed)
        if not failed:
            return Outcome(Status.PROCESSED, run.event, ran)
        waits = [error.after for error in run.errors if isinstance(error, RetryLater)]
        if len(waits) == failed:
            return Outcome(Status.RETRY_LATER, run.event, ran, failed, max(waits))
        return Outcome(Status.FAILED, run.event, ran, failed)

    def _tell(self, outcome: Outcome, delivery: Delivery) -> None:
        event = outcome.event
        if outcome.status is Status.UNHANDLED:
            self.notify(signals.event_unhandled, event=event)
        if outcome.status is Status.DEAD:
            log.error("Delivery %s is dead: a receiver of %s has failed to the end.", delivery.id, event.type)
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


def _occurred_at(event: AnyEvent) -> float | None:
    happened = event.timestamp
    return None if happened is None else happened.timestamp()


def _told(error: Exception | None) -> str | None:
    """What a receiver raised, with the end of its traceback, and without the values that it held."""
    if error is None:
        return None
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return text.replace("\x00", "").encode("utf-8", "replace").decode()[-_TRACEBACK_CHARACTERS:]


def _tell_apart(calls: list[Call]) -> list[Call]:
    """Number the receivers that share a name, so that each has a receipt of its own."""
    times: dict[str, int] = {}
    told: list[Call] = []
    for call in calls:
        times[call.name] = times.get(call.name, 0) + 1
        told.append(call if times[call.name] == 1 else call._replace(name=f"{call.name}#{times[call.name]}"))
    return told
