"""Checks the store and the dispatch mode: can it be written to, and does anybody run what is due?"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from flask_whop.config import DEFAULT_STORE, Mode
from flask_whop.doctor.findings import Check, Finding, Level
from flask_whop.engine.installation import Installation
from flask_whop.errors import StoreUnavailable
from flask_whop.stores import Arrival, Key, MemoryStore, Settlement, State

if TYPE_CHECKING:
    from celery import Celery
    from flask import Flask

_OVERDUE = 120.0
_PROBE_ENDPOINT = "flask_whop.doctor"


def check_store(installation: Installation) -> Check:
    """Write to the store, read from it, and leave nothing in it."""
    store = installation.store
    name = type(store).__name__
    try:
        counts, done_lately, _ = store.stats(installation.engine.endpoint)
        _write(installation)
    except StoreUnavailable as unavailable:
        return Check(
            "store",
            f"{name}, which can't be used",
            [
                Finding(
                    "W201",
                    f"The store can't be used: {unavailable}",
                    "Each delivery is answered 503 until it can; after 72 hours Whop disables the webhook.",
                    "Check that the database runs, that WHOP_STORE names it, and that this process may write to it.",
                )
            ],
        )
    findings = [*_forgetful(installation), *_dead(counts[State.DEAD]), *_shared(installation)]
    parts = [f"{count} {state.value}" for state, count in counts.items() if count]
    parts += [f"{done_lately} done in the last hour"] if done_lately else []
    contents = ", ".join(parts) or "nothing unfinished"
    return Check("store", f"{name}, read and written; {contents}", findings)


def _write(installation: Installation) -> None:
    """Store a delivery of no endpoint, and delete it again."""
    store, now = installation.store, installation.store.clock()
    key = Key(_PROBE_ENDPOINT, f"msg_{uuid4().hex}")
    arrival = Arrival(key, "flask_whop.doctor", None, None, None, None, int(now), 0, b"{}")
    if store.claim(arrival, "doctor", 30.0).granted:
        store.settle(key, "doctor", Settlement(State.DONE))
    store.prune(_PROBE_ENDPOINT, max(now, time.time()) + 60.0)


def _forgetful(installation: Installation) -> list[Finding]:
    if not isinstance(installation.store, MemoryStore):
        return []
    testing = installation.app.testing and installation.settings.store == DEFAULT_STORE
    return [
        Finding(
            "W202",
            "Deliveries are kept in memory" + (", since TESTING is on." if testing else "."),
            "Each process has its own, and loses them when it ends: a retry that reaches another worker, or comes"
            " after a restart, runs receivers a second time.",
            "Turn TESTING off in production." if testing else "Set WHOP_STORE to sqlite:///whop.sqlite3 or a database.",
            Level.WARNING,
        )
    ]


def _dead(count: int) -> list[Finding]:
    if not count:
        return []
    return [
        Finding(
            "W203",
            f"Dead-lettered deliveries, for which a receiver ran out of retries: {count}.",
            "Nobody retries them, and Whop considers them delivered.",
            "Fix the receiver, then replay them with flask whop deliveries replay --failed.",
            Level.WARNING,
        )
    ]


def _shared(installation: Installation) -> list[Finding]:
    if not installation.shares_endpoint():
        return []
    endpoint = installation.engine.endpoint
    return [
        Finding(
            "W204",
            f"Another app, with its own secrets, takes deliveries as WHOP_ENDPOINT={endpoint!r} in the same store.",
            "Each may take the other's work: what it has no receiver for counts as done, and is lost.",
            "Give each app its own WHOP_ENDPOINT; the default is the last part of the app's name.",
        )
    ]


def check_dispatch(installation: Installation) -> Check:
    """Check whether what the mode needs is there, and whether deliveries wait for it."""
    mode = installation.settings.dispatch
    findings = [*_overdue(installation)]
    if mode is Mode.CELERY:
        findings += _celery(installation.app)
    return Check("dispatch", f"WHOP_DISPATCH={mode.value}: {_NEEDS[mode]}", findings)


_NEEDS: Final[Mapping[Mode, str]] = {
    Mode.INLINE: "receivers have 5 seconds in all, and retries are Whop's",
    Mode.AFTER_RESPONSE: "retries are ours, when the next delivery comes or flask whop work runs",
    Mode.WORKER: "flask whop work must run beside the app",
    Mode.CELERY: "a Celery worker must run beside the app, and flask_whop.sweep once a minute",
}


def _overdue(installation: Installation) -> list[Finding]:
    """Owned deliveries that have been due for so long that nobody seems to run them."""
    engine, store = installation.engine, installation.store
    try:
        first = next(iter(store.due(engine.endpoint, 1)), None)
        oldest = store.get(first.key) if first else None
    except StoreUnavailable:
        return []
    late = 0.0 if oldest is None else store.clock() - (oldest.due_at or oldest.changed_at)
    if late < _OVERDUE:
        return []
    return [
        Finding(
            "W301",
            f"A delivery has been due for {round(late / 60)} minutes, and nobody has run it.",
            "Whop considers it delivered; its receivers run when a worker does.",
            "Start flask whop work, or the Celery worker with its sweep, and let a supervisor keep it running.",
        )
    ]


def _celery(app: Flask) -> list[Finding]:
    celery = app.extensions.get("celery")
    if celery is None:
        return [
            Finding(
                "W302",
                'app.extensions["celery"] is empty.',
                "Deliveries are stored, but no task is sent for them.",
                "Set Celery up as Flask's documentation shows it, under Background Tasks with Celery.",
            )
        ]
    try:
        with celery.connection_for_write(connect_timeout=2) as connection:
            connection.ensure_connection(max_retries=1, timeout=2)
    except Exception as unreachable:  # noqa: BLE001  # each broker has its own
        return [
            Finding(
                "W303",
                f"Celery's broker can't be reached ({type(unreachable).__name__}).",
                "Deliveries are stored, and wait until a sweep finds them.",
                "Check that the broker runs, and that broker_url names it.",
            ),
            *_sweep(celery),
        ]
    return _sweep(celery)


def _sweep(celery: Celery) -> list[Finding]:
    from flask_whop.engine.celery import SWEEP  # noqa: PLC0415  # an extra

    celery.finalize()  # periodic tasks are often added at that point
    if any(entry.get("task") == SWEEP for entry in (celery.conf.beat_schedule or {}).values()):
        return []
    return [
        Finding(
            "W304",
            f"The Celery app's beat_schedule has no task {SWEEP}.",
            "If a delivery's task is lost because the broker was down or a worker died, it waits for a sweep or for"
            " flask whop work.",
            f'Add {{"task": "{SWEEP}", "schedule": 60.0}} to it and run celery beat, unless a scheduler with a database'
            " of its own sends it, or flask whop work runs beside the app.",
            Level.WARNING,
        )
    ]
