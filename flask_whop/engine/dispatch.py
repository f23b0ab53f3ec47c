"""When the receivers of a delivery run: before the answer, after it, or elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from flask_whop.config import Mode
from flask_whop.engine import Engine, Outcome, Status
from flask_whop.logs import log
from flask_whop.stores import Due, Key

if TYPE_CHECKING:
    from flask import Flask

    from flask_whop.signature import Delivery

_LOOK_EVERY = 10.0
_AT_ONCE = 10


class Dispatched(NamedTuple):
    """What is to be answered, and what is to be done after the answer."""

    outcome: Outcome
    afterwards: Callable[[], None] | None = None


def dispatcher(mode: Mode, app: Flask, engine: Engine) -> Callable[[Delivery], Dispatched]:
    """What takes the verified deliveries of ``app``."""
    if mode is Mode.INLINE:
        return lambda delivery: Dispatched(engine.process(delivery))
    if mode is Mode.WORKER:
        return partial(_accept_for_worker, app, engine)
    if mode is Mode.CELERY:
        return _celery(app, engine)
    return _AfterResponse(app, engine)


def _accept_for_worker(app: Flask, engine: Engine, delivery: Delivery) -> Dispatched:
    outcome = engine.accept(delivery)
    return Dispatched(outcome, partial(_announce, app, engine) if outcome.status is Status.ACCEPTED else None)


def _announce(app: Flask, engine: Engine) -> None:
    with app.app_context():
        engine.announce()


def _celery(app: Flask, engine: Engine) -> Callable[[Delivery], Dispatched]:
    from flask_whop.engine import celery  # noqa: PLC0415  # an extra

    def dispatch(delivery: Delivery) -> Dispatched:
        outcome = engine.accept(delivery, due_in=celery.TASK_SECONDS)
        if outcome.status is not Status.ACCEPTED:
            return Dispatched(outcome)
        return Dispatched(outcome, partial(_hand_over, app, Key(engine.endpoint, delivery.id)))

    def _hand_over(app: Flask, key: Key) -> None:
        try:
            celery.hand_over(app, key)
        except Exception:
            # It is kept, and due in a while.
            log.exception("No task was sent for delivery %s.", key.id)

    return dispatch


class _AfterResponse:
    """Answers first, then runs the receivers, and now and then what else is due."""

    def __init__(self, app: Flask, engine: Engine) -> None:
        self._app = app
        self._engine = engine
        self._looked_at = 0.0

    def __call__(self, delivery: Delivery) -> Dispatched:
        outcome, run = self._engine.accept_and_hold(delivery)
        return Dispatched(outcome, None if run is None else partial(self._run, run, delivery.id))

    def _run(self, run: Callable[[], object], delivery_id: str) -> None:
        self._run_one(run, delivery_id)
        if time.monotonic() - self._looked_at > _LOOK_EVERY:
            self._looked_at = time.monotonic()
            for one in self._due():
                self._run_one(partial(self._engine.run, one.key), one.key.id)
                if one.alone:  # it may take the process down; one such at a time is enough
                    return

    def _due(self) -> Sequence[Due]:
        try:
            with self._app.app_context():
                due = self._engine.store.due(self._engine.endpoint, _AT_ONCE)
        except Exception:
            log.exception("It could not be seen what else is due.")
            return ()
        return sorted(due, key=attrgetter("alone"))

    def _run_one(self, run: Callable[[], object], delivery_id: str) -> None:
        try:
            with self._app.app_context():
                run()
        except Exception:
            # It is kept, and due again in a while.
            log.exception("Delivery %s could not be run after its answer.", delivery_id)
