"""Deliveries processed by Celery: one task each, which carries the delivery's key and nothing else.

The app's Celery is set up as Flask's documentation shows it: a task class that pushes
the app's context, and the Celery app in ``app.extensions["celery"]``. The tasks are
shared ones, which every Celery app of the process has:

- ``flask_whop.process`` runs one delivery; it is sent when one has been accepted;
- ``flask_whop.sweep`` sends the former for everything that is due and was lost on the
  way, since a broker was down or a worker died. Let Celery's beat send it once a minute,
  or run ``flask whop work`` beside it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from flask import current_app

from flask_whop.engine import Status
from flask_whop.errors import ConfigError, MissingExtraError
from flask_whop.installation import Installation
from flask_whop.stores import Key

try:
    from celery import Celery, shared_task
except ImportError:
    raise MissingExtraError('WHOP_DISPATCH="celery" needs: pip install "flask-whop[celery]"') from None

if TYPE_CHECKING:
    from flask import Flask

log: logging.Logger = logging.getLogger("flask_whop")

SWEEP: Final = "flask_whop.sweep"
"""The name of the task that finds what was lost, for a beat schedule."""

_PROCESS: Final = "flask_whop.process"
_SWEPT_AT_ONCE = 500
_LATE = 1.0


def process(endpoint: str, delivery_id: str) -> None:
    """Run the receivers of a delivery; a failure is kept in the store, and tried again by a later task."""
    app = _app()
    key = Key(endpoint, delivery_id)
    outcome = Installation.of(app).engine.run(key, early=True)
    if outcome is not None and outcome.status is Status.RETRY_LATER:
        hand_over(app, key, countdown=(outcome.retry_after or 0.0) + _LATE)


def sweep() -> int:
    """Send a task for each delivery that is due; how many they were."""
    app = _app()
    engine = Installation.of(app).engine
    due = engine.store.due(engine.endpoint, _SWEPT_AT_ONCE)
    return sum(hand_over(app, one.key) for one in due)


def hand_over(app: Flask, key: Key, *, countdown: float | None = None) -> bool:
    """Send the task for a delivery; False if the broker does not take it.

    The delivery is due in the store all the same, and is found there.
    """
    celery = app.extensions.get("celery")
    if not isinstance(celery, Celery):
        log.error(
            'WHOP_DISPATCH="celery" needs the Celery app in app.extensions["celery"], as Flask\'s documentation'
            " shows under Background Tasks with Celery; delivery %s stays due in the store.",
            key.id,
        )
        return False
    try:
        celery.send_task(_PROCESS, args=tuple(key), countdown=countdown, retry=False, ignore_result=True)
    except Exception as error:  # noqa: BLE001  # each broker has its own
        log.warning("The broker did not take delivery %s, which stays due in the store: %s", key.id, error)
        return False
    return True


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
