"""Whether deliveries are taken and run: signs of life of workers, what is overdue, and how much waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import uuid4

from flask_whop.config import Mode
from flask_whop.errors import BacklogFull, StoreUnavailable
from flask_whop.grammar import counted
from flask_whop.logs import log

if TYPE_CHECKING:
    from flask_whop.engine.installation import Installation
    from flask_whop.stores import Store

OVERDUE: Final = 120.0
"""After how many seconds nobody seems to run what is due."""

_WORKER: Final = "worker "
_BEAT: Final = 10.0
_DEAD_AFTER: Final = 60.0
_FORGOTTEN_AFTER: Final = 3600.0
_LOOK_EVERY: Final = 1.0
_SHARE: Final = 50.0


class Health(NamedTuple):
    """Whether deliveries are taken and run."""

    problems: tuple[str, ...]
    """What is wrong, each in a sentence; empty if nothing is."""
    workers: int
    """How many ``flask whop work`` have shown a sign of life within the last minute.

    Celery's workers show none, and having none is no problem there: they may be started when
    there is something to do. What nobody runs is overdue.
    """
    overdue: float
    """For how many seconds the delivery that waits longest has been due; 0 if none is."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def health_of(installation: Installation) -> Health:
    """Look at the store, the workers, and what is overdue."""
    try:
        workers, late = workers_of(installation), overdue(installation)
    except StoreUnavailable as error:
        return Health((f"The store can't be used: {error}",), 0, 0.0)
    problems = []
    if installation.settings.dispatch is Mode.WORKER and not workers:
        problems.append("No worker has shown a sign of life for a minute: start `flask whop work`.")
    if late >= OVERDUE:
        problems.append(f"A delivery has been due for {late / 60:.0f} minutes, and nobody has run it.")
    return Health(tuple(problems), workers, late)


def workers_of(installation: Installation) -> int:
    """Count the workers that live."""
    store = installation.store
    alive = store.clock() - _DEAD_AFTER
    return sum(at >= alive for at in store.notes(installation.engine.endpoint, _WORKER).values())


def overdue(installation: Installation) -> float:
    """Return for how many seconds the delivery that waits longest has been due; 0 if none is."""
    engine, store = installation.engine, installation.store
    first = next(iter(store.due(engine.endpoint, 1)), None)
    oldest = store.get(first.key) if first else None
    return 0.0 if oldest is None else max(0.0, store.clock() - (oldest.due_at or oldest.changed_at))


class Heartbeat:
    """Notes now and then that a worker lives."""

    def __init__(self, store: Callable[[], Store], endpoint: str) -> None:
        self._store = store
        self._endpoint = endpoint
        self._name = f"{_WORKER}{uuid4().hex}"
        self._beaten_at = -_BEAT

    def beat(self) -> None:
        """Note that it lives, if the last time is a while ago; raises :class:`~flask_whop.errors.StoreUnavailable`."""
        if time.monotonic() - self._beaten_at < _BEAT:
            return
        self._beaten_at = time.monotonic()
        store = self._store()
        store.put_note(self._endpoint, self._name, store.clock())
        store.drop_notes(self._endpoint, _WORKER, store.clock() - _FORGOTTEN_AFTER)

    def end(self) -> None:
        """Note that it's gone."""
        try:
            store = self._store()
            store.drop_notes(self._endpoint, self._name, store.clock() + _FORGOTTEN_AFTER)
        except StoreUnavailable:
            log.debug("The worker's sign of life couldn't be taken back; it ends in a minute.", exc_info=True)


class BacklogLimit:
    """Refuses deliveries while more than ``most`` wait; None for no limit. It counts about once a second."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._full = False
        self._again_at = 0.0

    def check(self, store: Store, endpoint: str) -> None:
        """Raise :class:`~flask_whop.errors.BacklogFull` if as many wait as may."""
        if self._most is None:
            return
        started = time.monotonic()
        if started >= self._again_at:
            self._full = store.backlog(endpoint, self._most) >= self._most
            took = time.monotonic() - started
            self._again_at = started + max(_LOOK_EVERY, _SHARE * took)
        if self._full:
            verb = "waits" if self._most == 1 else "wait"
            raise BacklogFull(f"{counted(self._most, 'delivery')} {verb} to be run already (WHOP_MOST_DUE).")
