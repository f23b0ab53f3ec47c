"""What happened, by the hour: counted while it happens, kept in the store, and read for charts."""

from __future__ import annotations

import atexit
import math
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final
from weakref import WeakSet, ref

from flask_whop import signals
from flask_whop.events import UnknownEvent
from flask_whop.forks import renew_after_fork
from flask_whop.logs import log
from flask_whop.stores import Tally

if TYPE_CHECKING:
    from flask import Flask

    from flask_whop.doctor.finding import Finding
    from flask_whop.engine.installation import Installation
    from flask_whop.errors import Rejected
    from flask_whop.events import AnyEvent
    from flask_whop.signature import Delivery

HOUR: Final = 3600.0
HAPPENING: Final = "happening"
"""The kind of the tallies that a chart shows by the hour."""
UNKNOWN_TYPE: Final = "an unknown type"

_FLUSH_AFTER: Final = 5.0
_MOST_PENDING: Final = 10_000
_FIRST_BUCKET: Final = 0.001
_BUCKETS: Final = 64
_RATIO: Final = math.sqrt(2)


class Happening(str, Enum):
    """What is counted of deliveries, for the bars of a chart."""

    DONE = "done"
    """Every receiver is done with it, or there is none."""
    DUPLICATED = "duplicated"
    """It had come before."""
    FAILED = "failed"
    """A receiver raised."""
    DEAD = "dead"
    """A receiver ran out of retries."""
    REJECTED = "rejected"
    """It was no delivery for this app."""


class _Kind(str, Enum):
    HAPPENING = HAPPENING
    CALL = "call "  # before the outcome; the receiver is the name
    REJECTION = "rejection"
    DIAGNOSIS = "diagnosis"
    UNHANDLED = "unhandled"
    SECONDS = "seconds"


@dataclass(frozen=True)
class Hour:
    """What happened in one hour."""

    begins: float
    """In unix seconds."""
    counts: Mapping[Happening, int]
    """Those that aren't 0."""


@dataclass(frozen=True)
class Activity:
    """What happened in the last hours."""

    hours: Sequence[Hour]
    """Each hour, the earliest first; the last one isn't over."""
    calls: Mapping[str, Mapping[str, int]]
    """How the calls of each receiver ended: ``done``, ``skipped``, ``failed``, ``retry_later`` or ``given_up``."""
    rejections: Mapping[str, int]
    """Why requests were rejected: the values of :class:`~flask_whop.errors.Reason`."""
    diagnoses: Mapping[str, int]
    """What the doctor found in some of them: the ids of its findings."""
    unhandled: Mapping[str, int]
    """The types of the events that no receiver handles."""
    median: float | None
    """Half of all deliveries were done within so many seconds, about; None if none was done."""
    p95: float | None
    """Of twenty deliveries, nineteen were done within so many seconds, about."""

    def total(self, happening: Happening) -> int:
        """Return how often something happened in all."""
        return sum(hour.counts.get(happening, 0) for hour in self.hours)


def activity_in(tallies: Mapping[Tally, int], now: float, hours: int) -> Activity:
    """Return what tallies say about the last ``hours``."""
    last = int(now // HOUR)
    by_hour: dict[int, dict[Happening, int]] = {hour: {} for hour in range(last - hours + 1, last + 1)}
    kinds: dict[str, Counter[str]] = {kind.value: Counter() for kind in _Kind}
    calls: dict[str, Counter[str]] = {}
    for (hour, kind, name), counted in tallies.items():
        if kind.startswith(_Kind.CALL.value):
            calls.setdefault(name, Counter())[kind.removeprefix(_Kind.CALL.value)] += counted
        elif kind == _Kind.HAPPENING.value:
            if hour in by_hour and name in _HAPPENINGS:
                by_hour[hour][Happening(name)] = counted
        elif kind in kinds:
            kinds[kind][name] += counted
    seconds = kinds[_Kind.SECONDS.value]
    return Activity(
        [Hour(hour * HOUR, counts) for hour, counts in by_hour.items()],
        calls,
        kinds[_Kind.REJECTION.value],
        kinds[_Kind.DIAGNOSIS.value],
        kinds[_Kind.UNHANDLED.value],
        _quantile(seconds, 0.5),
        _quantile(seconds, 0.95),
    )


_HAPPENINGS: Final = {happening.value for happening in Happening}


def _bucket(seconds: float) -> str:
    if seconds <= _FIRST_BUCKET:
        return "0"
    return str(min(_BUCKETS, math.ceil(math.log(seconds / _FIRST_BUCKET, _RATIO))))


def _quantile(counts: Mapping[str, int], share: float) -> float | None:
    """The upper end of the bucket that a share of all doesn't exceed."""
    left = share * sum(counts.values())
    for number in range(_BUCKETS + 1):
        left -= counts.get(str(number), 0)
        if left <= 0 and counts.get(str(number)):
            return _FIRST_BUCKET * _RATIO**number
    return None


_arrived: ContextVar[tuple[str, float]] = ContextVar("flask_whop.arrived", default=("", 0.0))


class Recorder:
    """Counts what happens to the deliveries of an app, and adds it to its store every few seconds.

    What a process had counted in its last seconds is lost if it's killed.
    """

    def __init__(self, installation: Installation) -> None:
        self._app = ref(installation.app)
        self._installation = ref(installation)
        self._start_afresh()
        renew_after_fork(self._start_afresh)
        _recorders.add(self)
        self._listen(installation.app)

    def _start_afresh(self) -> None:
        self._lock = threading.Lock()
        self._pending: Counter[Tally] = Counter()
        self._timer: threading.Timer | None = None

    def flush(self) -> None:
        """Add what is pending to the store; keep it for the next time if that can't be reached."""
        with self._lock:
            pending, self._pending, self._timer = self._pending, Counter(), None
        app, installation = self._app(), self._installation()
        if not pending or app is None or installation is None:
            return
        try:
            with app.app_context():
                installation.store.tally(installation.engine.endpoint, pending)
        except Exception:  # anything: whoever flushes has other things to do
            log.debug("What was counted for the charts couldn't be stored; it's tried again.", exc_info=True)
            with self._lock:
                if len(self._pending) + len(pending) <= _MOST_PENDING:
                    self._pending.update(pending)

    def _count(self, kind: str, name: str) -> None:
        installation = self._installation()
        if installation is None:
            return
        tally = Tally(int(installation.store.clock() // HOUR), kind, name)
        with self._lock:
            self._pending[tally] += 1
            if self._timer is not None:
                return
            # It lives while something is pending, so an idle process has no thread.
            timer = self._timer = threading.Timer(_FLUSH_AFTER, self.flush)
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError:  # the system has no thread left; the next one that counts tries again
            with self._lock:
                self._timer = None

    def _happened(self, happening: Happening) -> None:
        self._count(_Kind.HAPPENING.value, happening.value)

    # What it hears of.

    def _listen(self, app: Flask) -> None:
        signals.delivery_received.connect(self._received, app)
        signals.delivery_processed.connect(self._processed, app)
        signals.delivery_duplicated.connect(self._duplicated, app)
        signals.delivery_dead_lettered.connect(self._dead_lettered, app)
        signals.delivery_rejected.connect(self._rejected, app)
        signals.rejection_diagnosed.connect(self._diagnosed, app)
        signals.receiver_called.connect(self._called, app)
        signals.event_unhandled.connect(self._unhandled, app)

    def _received(self, _app: Flask, /, *, delivery: Delivery) -> None:
        _arrived.set((delivery.id, time.monotonic()))

    def _processed(self, _app: Flask, /, *, delivery: Delivery, event: AnyEvent) -> None:  # noqa: ARG002  # the signal's
        self._happened(Happening.DONE)
        delivery_id, since = _arrived.get()
        installation = self._installation()
        if delivery.received_at is not None and installation is not None:
            self._count(_Kind.SECONDS.value, _bucket(installation.store.clock() - delivery.received_at))
        elif delivery_id == delivery.id:
            self._count(_Kind.SECONDS.value, _bucket(time.monotonic() - since))

    def _duplicated(self, _app: Flask, /, *, delivery: Delivery, event: AnyEvent) -> None:  # noqa: ARG002  # likewise
        self._happened(Happening.DUPLICATED)

    def _dead_lettered(self, _app: Flask, /, *, delivery: Delivery, event: AnyEvent) -> None:  # noqa: ARG002  # likewise
        self._happened(Happening.DEAD)

    def _rejected(self, _app: Flask, /, *, rejection: Rejected) -> None:
        self._happened(Happening.REJECTED)
        self._count(_Kind.REJECTION.value, rejection.reason.value)

    def _diagnosed(self, _app: Flask, /, *, rejection: Rejected, finding: Finding) -> None:  # noqa: ARG002  # likewise
        self._count(_Kind.DIAGNOSIS.value, finding.id)

    def _called(self, _app: Flask, /, *, event: AnyEvent, receiver: str, outcome: str, seconds: float) -> None:  # noqa: ARG002  # likewise
        if outcome == Happening.FAILED.value:
            self._happened(Happening.FAILED)
        self._count(f"{_Kind.CALL.value}{outcome}", receiver)

    def _unhandled(self, _app: Flask, /, *, event: AnyEvent) -> None:
        self._count(_Kind.UNHANDLED.value, UNKNOWN_TYPE if isinstance(event, UnknownEvent) else event.type)


_recorders: Final[WeakSet[Recorder]] = WeakSet()


@atexit.register
def _flush_all() -> None:
    for recorder in list(_recorders):
        recorder.flush()
