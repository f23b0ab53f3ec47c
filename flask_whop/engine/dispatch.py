"""When the receivers of a delivery run: before the answer, after it, or elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from flask_whop.config import Mode
from flask_whop.engine.outcomes import Outcome, Status
from flask_whop.logs import facts, log
from flask_whop.stores import Due, Key

if TYPE_CHECKING:
    from flask_whop.engine.installation import Installation
    from flask_whop.signature import Delivery

_LOOK_EVERY = 10.0
_AT_ONCE = 10


class Dispatched(NamedTuple):
    """What to answer, and what to do after the answer."""

    outcome: Outcome
    afterwards: Callable[[], None] | None = None


def dispatcher(installation: Installation) -> Callable[[Delivery], Dispatched]:
    """Make what takes the verified deliveries of an app, by its ``WHOP_DISPATCH``."""
    mode = installation.settings.dispatch
    if mode is Mode.INLINE:
        process = installation.engine.process
        return lambda delivery: Dispatched(process(delivery))
    if mode is Mode.WORKER:
        return partial(_accept_for_worker, installation)
    if mode is Mode.CELERY:
        return _celery(installation)
    return _AfterResponse(installation)


def _accept_for_worker(installation: Installation, delivery: Delivery) -> Dispatched:
    outcome = installation.engine.accept(delivery)
    return Dispatched(outcome, partial(_announce, installation) if outcome.status is Status.ACCEPTED else None)


def _announce(installation: Installation) -> None:
    with installation.app.app_context():
        installation.engine.announce()


def _celery(installation: Installation) -> Callable[[Delivery], Dispatched]:
    from flask_whop.engine import celery  # noqa: PLC0415  # an extra

    engine = installation.engine

    def dispatch(delivery: Delivery) -> Dispatched:
        outcome = engine.accept(delivery, due_in=celery.TASK_SECONDS)
        if outcome.status is not Status.ACCEPTED:
            return Dispatched(outcome)
        return Dispatched(outcome, partial(hand_over, Key(engine.endpoint, delivery.id)))

    def hand_over(key: Key) -> None:
        try:
            celery.hand_over(installation, key)
        except Exception:
            # It's in the store, and due after a while.
            log.exception("No task was sent for delivery %s.", key.id, extra=facts(delivery=key.id))

    return dispatch


class _AfterResponse:
    """Answers first, then runs the receivers, and now and then whatever else is due."""

    def __init__(self, installation: Installation) -> None:
        self._app = installation.app
        self._engine = installation.engine
        self._looked_at = 0.0

    def __call__(self, delivery: Delivery) -> Dispatched:
        outcome, run = self._engine.accept_and_hold(delivery)
        return Dispatched(outcome, None if run is None else partial(self._run, run, delivery.id))

    def _run(self, run: Callable[[], object], delivery_id: str) -> None:
        self._run_one(run, delivery_id)
        if time.monotonic() - self._looked_at > _LOOK_EVERY:
            self._looked_at = time.monotonic()
            for due in self._due():
                self._run_one(partial(self._engine.run, due.key), due.key.id)
                if due.alone:  # it may take the process down; one of those at a time is enough
                    return

    def _due(self) -> Sequence[Due]:
        try:
            with self._app.app_context():
                due = self._engine.store.due(self._engine.endpoint, _AT_ONCE)
        except Exception:
            log.exception("Couldn't look up what else is due.")
            return ()
        return sorted(due, key=attrgetter("alone"))

    def _run_one(self, run: Callable[[], object], delivery_id: str) -> None:
        try:
            with self._app.app_context():
                run()
        except Exception:
            # It's in the store, and due again after a while.
            extra = facts(delivery=delivery_id)
            log.exception("Delivery %s couldn't be run after its answer.", delivery_id, extra=extra)
