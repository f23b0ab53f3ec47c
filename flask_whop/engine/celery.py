"""Deliveries processed by Celery: one task each, which carries the delivery's key and nothing else.

The app's Celery is set up as Flask's documentation shows it: a task class that pushes
the app's context, and the Celery app in ``app.extensions["celery"]``. The tasks are
shared ones, which every Celery app of the process has:

- ``flask_whop.process`` runs one delivery; it is sent when one has been accepted, after
  the answer;
- ``flask_whop.sweep`` sends the former for everything that is due and was lost on the
  way, since a broker was down or a worker died. Let Celery's beat send it once a minute,
  or run ``flask whop work`` beside it.

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
from flask_whop.logs import log
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
"""How long a task is good for; the delivery of one that has expired is due for the next sweep."""

_PROCESS: Final = "flask_whop.process"
_SWEPT_AT_ONCE = 2000
_LATE = 1.0
_MOST_PASSED_ON = 5
_PASSED_ON_AFTER = (0.2, 2.0)
_PUBLISH_SECONDS = 2.0
_PAUSE_SECONDS = 30.0


def process(endpoint: str, delivery_id: str, passed_on: int = 0) -> None:
    """Run the receivers of a delivery; a failure is kept in the store, and tried again by a later task.

    A task for another app, which shares the queue, is passed on a few times: the next
    worker that takes it may be that app's.
    """
    app = _app()
    installation = Installation.of(app)
    key = Key(endpoint, delivery_id)
    if endpoint != installation.engine.endpoint:
        log.error(
            "A task of Celery's is for deliveries of %s, and came to a worker of %s, which passes it on: the two apps"
            " share a queue. Give each its own by WHOP_CELERY_QUEUE, and let its workers take that one (-Q).",
            endpoint,
            installation.engine.endpoint,
        )
        if passed_on < _MOST_PASSED_ON:
            # By chance, lest two workers take turns with each other's tasks for ever.
            wait = random.uniform(*_PASSED_ON_AFTER)  # noqa: S311  # nobody gains from guessing it
            if (publisher := _publisher_of(app)) is not None:
                publisher.send(key, wait, installation.settings.celery_queue, passed_on + 1)
        return
    outcome = installation.engine.run(key, early=True)
    if outcome is not None and outcome.status is Status.RETRY_LATER:
        _hand_over_again(app, key, (outcome.retry_after or 0.0) + _LATE)


def sweep() -> int:
    """Send a task for each delivery that is due; how many they were."""
    app = _app()
    engine = Installation.of(app).engine
    sent = 0
    for one in engine.store.due(engine.endpoint, _SWEPT_AT_ONCE):
        if not _hand_over_again(app, one.key, 0.0):
            break  # the broker is away, for the others as well
        sent += 1
    return sent


def _hand_over_again(app: Flask, key: Key, countdown: float) -> bool:
    store = Installation.of(app).engine.store
    store.postpone(key, store.clock() + countdown + TASK_SECONDS)
    return hand_over(app, key, countdown=countdown)


def hand_over(app: Flask, key: Key, *, countdown: float = 0.0) -> bool:
    """Send the task for a delivery that nobody else looks for yet; False if the broker does not take it.

    Then the delivery is due in the store, where the sweep or a worker finds it. It takes
    two seconds at most, and none for a while after it has failed.
    """
    publisher = _publisher_of(app)
    sent = publisher is not None and publisher.send(key, countdown, Installation.of(app).settings.celery_queue)
    if not sent:
        with app.app_context():
            store = Installation.of(app).engine.store
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
    """Sends tasks to the broker of one Celery app, and leaves it alone for a while when it has failed."""

    def __init__(self, celery: Celery) -> None:
        self._celery = ref(celery)
        self._paused_until = 0.0
        self._stuck: threading.Thread | None = None

    def send(self, key: Key, countdown: float, queue: str | None, passed_on: int = 0) -> bool:
        """Send the task for a delivery, and tell whether the broker has it."""
        celery = self._celery()
        if celery is None or time.monotonic() < self._paused_until or (self._stuck and self._stuck.is_alive()):
            return False
        publish = partial(_publish, celery, key, countdown, queue, passed_on)
        if celery.conf.task_always_eager:
            if countdown:
                return False  # it would run at once, and again, and again
            publish()
            return True
        failures: list[BaseException] = []
        # The drivers of brokers have no time limit in common, and some have none.
        thread = threading.Thread(target=_noting, args=(publish, failures), name="flask-whop publish", daemon=True)
        thread.start()
        thread.join(_PUBLISH_SECONDS)
        if thread.is_alive():
            self._stuck = thread
            failures.append(TimeoutError(f"no answer within {_PUBLISH_SECONDS:.0f} seconds"))
        if not failures:
            return True
        self._paused_until = time.monotonic() + _PAUSE_SECONDS
        log.warning(
            "The broker did not take delivery %s, which stays due in the store, like those that come in the next %.0f"
            " seconds: %s",
            key.id,
            _PAUSE_SECONDS,
            failures[0],
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


def _noting(publish: Callable[[], object], failures: list[BaseException]) -> None:
    try:
        publish()
    except Exception as error:  # noqa: BLE001  # each broker has its own
        failures.append(error)


def _app() -> Flask:
    if not current_app:
        raise ConfigError(
            "The tasks of flask_whop need the app's context: use the task class that Flask's documentation shows"
            " under Background Tasks with Celery."
        )
    return current_app._get_current_object()  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001  # documented by Werkzeug


# Without the decorator's form, the functions keep their types.
shared_task(name=_PROCESS, ignore_result=True)(process)
shared_task(name=SWEEP, ignore_result=True)(sweep)
