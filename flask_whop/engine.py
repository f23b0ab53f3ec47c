"""Takes a verified delivery through its receivers, each on its own, each once."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from flask_whop import signals
from flask_whop.errors import GiveUp, MissingExtraError, Reason, Rejected, RetryLater
from flask_whop.events import AnyEvent, UnknownEvent, parse_event
from flask_whop.receivers import AppSignal, Call

if TYPE_CHECKING:
    from flask import Flask

    from flask_whop.signature import Delivery
    from flask_whop.stores import Claim, Store

log: logging.Logger = logging.getLogger("flask_whop")

_MOST_DRIFT_LOGGED = 10


class Status(str, Enum):
    """What became of a delivery."""

    PROCESSED = "processed"
    """Every receiver is done with it."""
    UNHANDLED = "unhandled"
    """No receiver is connected to its event."""
    DUPLICATE = "duplicate"
    """It had been finished before."""
    RUNNING = "running"
    """It is being processed by somebody else at this moment."""
    RETRY_LATER = "retry_later"
    """A receiver asked to be called later."""
    FAILED = "failed"
    """A receiver raised."""


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


class Engine:
    """Processes the deliveries of one app.

    ``accounts`` are the only accounts to take events of; empty takes all. ``wait``
    awaits what an asynchronous receiver returned. ``report`` is told what a receiver
    raised.
    """

    def __init__(  # noqa: PLR0913  # what an app wires it to, each by name
        self,
        app: Flask,
        store: Store,
        *,
        endpoint: str,
        accounts: frozenset[str],
        wait: Callable[[Awaitable[object]], object],
        report: Callable[[Exception], object],
    ) -> None:
        self._app = app
        self._store = store
        self._endpoint = endpoint
        self._accounts = accounts
        self._wait = wait
        self._report = report

    def process(self, delivery: Delivery) -> Outcome:
        """Run every receiver that is not done with ``delivery`` yet.

        Raises :class:`~flask_whop.errors.Rejected` if it is not an event for this app,
        and :class:`~flask_whop.errors.StoreUnavailable`. What receivers raise is in the
        outcome.
        """
        self.notify(signals.delivery_received, delivery=delivery)
        event = parse_event(delivery.body, delivery.id)
        self._check_account(event, delivery)
        claim = self._store.claim(self._endpoint, delivery.id)
        if not claim.granted:
            outcome = Outcome(Status.RUNNING, event)
        else:
            try:
                outcome = self._run(event, delivery, claim)
            finally:
                self._store.release(self._endpoint, delivery.id)
        self._tell(outcome, delivery)
        return outcome

    def notify(self, signal: AppSignal, **keywords: object) -> None:
        """Send a lifecycle signal; what its receivers raise is logged and goes no further."""
        if not signal.receivers:
            return
        for name, receiver in signal.calls_for(self._app):
            try:
                self._await(name, receiver(self._app, **keywords))
            except Exception:
                log.exception("%s, a receiver of %s, raised; the delivery goes on.", name, signal.name)

    def _check_account(self, event: AnyEvent, delivery: Delivery) -> None:
        if self._accounts and event.account_id is not None and event.account_id not in self._accounts:
            raise Rejected(Reason.FOREIGN_ACCOUNT, delivery.id)

    def _run(self, event: AnyEvent, delivery: Delivery, claim: Claim) -> Outcome:
        calls = self._calls(event)
        if claim.done:
            calls = [call for call in calls if call[0] not in claim.done]
        if not calls:
            return Outcome(Status.DUPLICATE if claim.repeated else Status.UNHANDLED, event)
        errors: list[Exception] = []
        for name, receiver in calls:
            error = self._attempt(name, receiver, event)
            if error is None or isinstance(error, GiveUp):
                self._store.record(self._endpoint, delivery.id, name)
            else:
                errors.append(error)
        return _outcome(event, len(calls), errors)

    def _calls(self, event: AnyEvent) -> list[Call]:
        if isinstance(event, UnknownEvent):
            calls = signals.unknown_event.calls_for_type(self._app, event.type)
        else:
            calls = signals.EVENT_SIGNALS[event.type].calls_for(self._app)
        return calls if len(calls) < 2 else _tell_apart(calls)  # noqa: PLR2004

    def _attempt(self, name: str, receiver: Callable[..., object], event: AnyEvent) -> Exception | None:
        """Call one receiver; return what it raised."""
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

    def _tell(self, outcome: Outcome, delivery: Delivery) -> None:
        event = outcome.event
        if outcome.status is Status.UNHANDLED:
            self.notify(signals.event_unhandled, event=event)
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


def _outcome(event: AnyEvent, ran: int, errors: list[Exception]) -> Outcome:
    if not errors:
        return Outcome(Status.PROCESSED, event, ran)
    waits = [error.after for error in errors if isinstance(error, RetryLater)]
    if len(waits) == len(errors):
        return Outcome(Status.RETRY_LATER, event, ran, len(errors), max(waits))
    return Outcome(Status.FAILED, event, ran, len(errors))


def _tell_apart(calls: list[Call]) -> list[Call]:
    """Number the receivers that share a name, so that each has a receipt of its own."""
    times: dict[str, int] = {}
    told: list[Call] = []
    for name, receiver in calls:
        times[name] = times.get(name, 0) + 1
        told.append((name if times[name] == 1 else f"{name}#{times[name]}", receiver))
    return told
