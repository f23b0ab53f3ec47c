"""Checks the store and the dispatch mode: can it be written to, and does anybody run what is due?"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from flask_whop.config import DEFAULT_STORE, Mode
from flask_whop.doctor.checkup import catalog
from flask_whop.doctor.finding import Check, Finding
from flask_whop.engine.health import OVERDUE, overdue, workers_of
from flask_whop.engine.installation import Installation
from flask_whop.errors import StoreUnavailable
from flask_whop.stores import Arrival, Key, MemoryStore, Settlement, State

if TYPE_CHECKING:
    from celery import Celery
    from flask import Flask

_PROBE_ENDPOINT = "flask_whop.doctor"


def check_store(installation: Installation) -> Check:
    """Write to the store, read from it, and leave nothing in it."""
    store = installation.store
    name = type(store).__name__
    try:
        counts, done_lately, _ = store.stats(installation.engine.endpoint)
        _write(installation)
    except StoreUnavailable as unavailable:
        return Check("store", f"{name}, which can't be used", [catalog.W201.of(error=unavailable)])
    findings = _forgetful(installation)
    if dead := counts[State.DEAD]:
        findings.append(catalog.W203.of(count=dead))
    if installation.shares_endpoint():
        findings.append(catalog.W204.of(endpoint=installation.engine.endpoint))
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
    because = ", because TESTING is on" if testing else ""
    fix = "Turn TESTING off in production." if testing else "Set WHOP_STORE to sqlite:///whop.sqlite3 or a database."
    return [catalog.W202.of(because=because, fix=fix)]


def check_dispatch(installation: Installation) -> Check:
    """Check whether what the mode needs is there, and whether deliveries wait for it."""
    mode = installation.settings.dispatch
    findings = _overdue(installation)
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
    """Owned deliveries that have been due for so long that nobody seems to run them, or no worker that could."""
    try:
        late, workers = overdue(installation), workers_of(installation)
    except StoreUnavailable:
        return []
    findings = [catalog.W301.of(minutes=round(late / 60))] if late >= OVERDUE else []
    if installation.settings.dispatch is Mode.WORKER and not workers:
        findings.append(catalog.W305)
    return findings


def _celery(app: Flask) -> list[Finding]:
    celery = app.extensions.get("celery")
    if celery is None:
        return [catalog.W302]
    try:
        with celery.connection_for_write(connect_timeout=2) as connection:
            connection.ensure_connection(max_retries=1, timeout=2)
    except Exception as unreachable:  # noqa: BLE001  # each broker has its own
        return [catalog.W303.of(error=type(unreachable).__name__), *_sweep(celery)]
    return _sweep(celery)


def _sweep(celery: Celery) -> list[Finding]:
    from flask_whop.engine.celery import SWEEP  # noqa: PLC0415  # an extra

    celery.finalize()  # periodic tasks are often added at that point
    swept = any(entry.get("task") == SWEEP for entry in (celery.conf.beat_schedule or {}).values())
    return [] if swept else [catalog.W304.of(task=SWEEP)]
