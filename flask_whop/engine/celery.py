"""Deliveries processed by Celery: one task each, which carries the delivery's key and nothing else.

Set the app's Celery up as Flask's documentation shows it: with a task class that pushes
the app's context, and the Celery app in ``app.extensions["celery"]``. The tasks are
shared ones, which every Celery app of the process has:

- ``flask_whop.process`` runs one delivery; it's sent after the answer to an accepted
  delivery;
- ``flask_whop.sweep`` sends that task for everything that is due because its task was
  lost: a broker was down, or a worker died. Let Celery's beat send it once a minute, or
  run ``flask whop work`` beside it.

A delivery has one task at a time: its task expires after :data:`TASK_SECONDS`, and
until then nobody else looks for the delivery.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary, ref

from flask import current_app

from flask_whop.engine import Status
from flask_whop.engine.installation import Installation
from flask_whop.errors import ConfigError, MissingExtraError
from flask_whop.logs import facts, log
from flask_whop.stores import Key

try:
    from celery import Celery, shared_task
except ImportError:
    raise MissingExtraError('WHOP_DISPATCH="celery" needs: pip install "flask-whop[celery]"') from None

if TYPE_CHECKING:
    from flask import Flask

SWEEP: Final = "flask_whop.sweep"
"""The name of the task that finds what was lost, for a beat schedule."""

TASK_SECONDS = 120.0
"""How long a task is valid; then the next sweep finds its delivery."""

_PROCESS: Final = "flask_whop.process"
_SWEPT_AT_ONCE = 2000
_LATE = 1.0
_MOST_PASSED_ON = 5
_PASSED_ON_AFTER = (0.2, 2.0)
_PUBLISH_SECONDS = 2.0
_PAUSE_SECONDS = 30.0


def process(endpoint: str, delivery_id: str, passed_on: int = 0) -> None:
    """Run the receivers of a delivery; a failure is kept in the store, and a later task retries it.

    A task for another app that shares the queue is passed on a few times: the next
    worker that takes it may be that app's.
    """
    installation = installation_of_task()
    key = Key(endpoint, delivery_id)
    if endpoint != installation.engine.endpoint:
        log.error(
            "A Celery task for deliveries of %s reached a worker of %s, which passes it on: the two apps share a queue."
            " Give each its own with WHOP_CELERY_QUEUE, and let its workers take that one (-Q).",
            endpoint,
            installation.engine.endpoint,
        )
        if passed_on < _MOST_PASSED_ON:
            # At random, or two workers might swap each other's tasks for ever.
            wait = random.uniform(*_PASSED_ON_AFTER)  # noqa: S311  # nobody gains from guessing it
            if (publisher := _publisher_of(installation.app)) is not None:
                publisher.send(key, wait, installation.settings.celery_queue, passed_on + 1)
        return
    outcome = installation.engine.run(key, early=True)
    if outcome is not None and outcome.status is Status.RETRY_LATER:
        _hand_over_again(installation, key, (outcome.retry_after or 0.0) + _LATE)


def sweep() -> int:
    """Send a task for each delivery that is due, and return how many were sent."""
    installation = installation_of_task()
    engine, sent = installation.engine, 0
    for due in engine.store.due(engine.endpoint, _SWEPT_AT_ONCE):
        if not _hand_over_again(installation, due.key, 0.0):
            break  # the broker is down, for the others as well
        sent += 1
    return sent


def _hand_over_again(installation: Installation, key: Key, countdown: float) -> bool:
    store = installation.store
    store.postpone(key, store.clock() + countdown + TASK_SECONDS)
    return hand_over(installation, key, countdown=countdown)


def hand_over(installation: Installation, key: Key, *, countdown: float = 0.0) -> bool:
    """Send the task for a delivery that nobody else looks for yet; False if the broker doesn't take it.

    Then the delivery is due in the store, where the sweep or a worker finds it. This
    takes two seconds at most, and no time for a while after a failure.
    """
    publisher = _publisher_of(installation.app)
    sent = publisher is not None and publisher.send(key, countdown, installation.settings.celery_queue)
    if not sent:
        with installation.app.app_context():
            store = installation.store
            store.postpone(key, store.clock() + countdown)
    return sent


def _publisher_of(app: Flask) -> _Publisher | None:
    celery = app.extensions.get("celery")
    if isinstance(celery, Celery):
        return _publishers.setdefault(celery, _Publisher(celery))
    log.error(
        'WHOP_DISPATCH="celery" needs the Celery app in app.extensions["celery"], as Flask\'s documentation shows under'
        " Background Tasks with Celery; the deliveries stay due in the store."
    )
    return None


class _Publisher:
    """Sends tasks to the broker of one Celery app, and pauses for a while after a failure."""

    def __init__(self, celery: Celery) -> None:
        self._celery = ref(celery)
        self._paused_until = 0.0
        self._stuck: threading.Thread | None = None

    def send(self, key: Key, countdown: float, queue: str | None, passed_on: int = 0) -> bool:
        """Send the task for a delivery; whether the broker has it."""
        celery = self._celery()
        if celery is None or time.monotonic() < self._paused_until or (self._stuck and self._stuck.is_alive()):
            return False
        publish = partial(_publish, celery, key, countdown, queue, passed_on)
        if celery.conf.task_always_eager:
            if countdown:
                return False  # it would run at once, over and over
            publish()
            return True
        failures: list[BaseException] = []
        # Broker drivers have no time limit in common, and some have none.
        thread = threading.Thread(target=_collecting, args=(publish, failures), name="flask-whop publish", daemon=True)
        thread.start()
        thread.join(_PUBLISH_SECONDS)
        if thread.is_alive():
            self._stuck = thread
            failures.append(TimeoutError(f"no answer within {_PUBLISH_SECONDS:.0f} seconds"))
        if not failures:
            return True
        self._paused_until = time.monotonic() + _PAUSE_SECONDS
        log.warning(
            "The broker didn't take delivery %s, which stays due in the store, like those of the next %.0f seconds: %s",
            key.id,
            _PAUSE_SECONDS,
            failures[0],
            extra=facts(delivery=key.id),
        )
        return False


_publishers: WeakKeyDictionary[Celery, _Publisher] = WeakKeyDictionary()


def _publish(celery: Celery, key: Key, countdown: float, queue: str | None, passed_on: int) -> None:
    celery.tasks[_PROCESS].apply_async(
        args=(*key, passed_on) if passed_on else tuple(key),
        countdown=countdown or None,
        expires=countdown + TASK_SECONDS,
        retry=False,
        ignore_result=True,
        **({} if queue is None else {"queue": queue}),
    )


def _collecting(publish: Callable[[], object], failures: list[BaseException]) -> None:
    try:
        publish()
    except Exception as error:  # noqa: BLE001  # each broker has its own
        failures.append(error)


def installation_of_task() -> Installation:
    """Return the installation of the app whose context a task runs in."""
    if not current_app:
        raise ConfigError(
            "The tasks of flask_whop need the app's context: use the task class that Flask's documentation shows"
            " under Background Tasks with Celery."
        )
    return Installation.of(current_app)


# Called as functions, the decorators keep the types.
shared_task(name=_PROCESS, ignore_result=True)(process)
shared_task(name=SWEEP, ignore_result=True)(sweep)
