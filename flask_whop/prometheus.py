"""Metrics for Prometheus: ``WhopMetrics(app)``, with ``pip install "flask-whop[prometheus]"``.

They are in ``prometheus-client``'s registry, which whatever exposes your metrics reads;
prometheus-flask-exporter has its own in ``exporter.registry``. How many series there are
depends on the events of this release and on your receivers, whatever a sender writes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from flask_whop import signals
from flask_whop.engine.health import workers_of
from flask_whop.engine.installation import Installation
from flask_whop.errors import MissingExtraError, Rejected, StoreUnavailable
from flask_whop.events import UnknownEvent
from flask_whop.stores import State

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
    from prometheus_client.core import GaugeMetricFamily
    from prometheus_client.registry import Collector
except ImportError:
    raise MissingExtraError('Metrics need: pip install "flask-whop[prometheus]"') from None

if TYPE_CHECKING:
    from flask import Flask

    from flask_whop.events import AnyEvent
    from flask_whop.signature import Delivery

WHOP_WAITS: Final = 5.0
"""How many seconds Whop waits for an answer, by its webhooks guide."""

_ANSWERS: Final = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, WHOP_WAITS, 10.0)
_CALLS: Final = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 5.0, 30.0, 300.0)
_UNTIL_DONE: Final = (0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0, 86_400.0)


class WhopMetrics:
    """Counts and times the deliveries of ``app``, in ``registry``; one for each app and registry.

    With several processes (``PROMETHEUS_MULTIPROC_DIR``), register :attr:`store` on the
    registry that is exposed: what it says is the store's, the same from each process.
    """

    def __init__(self, app: Flask, registry: CollectorRegistry = REGISTRY) -> None:
        self.store: StoreCollector = StoreCollector(app)
        """What is in the store, asked for at each scrape."""
        self._answers = Counter("whop_answers", "Requests by how they were answered.", ["outcome"], registry=registry)
        self._answer_seconds = Histogram(
            "whop_answer_seconds", "Seconds until the answer.", buckets=_ANSWERS, registry=registry
        )
        self._late = Counter("whop_late_answers", "Answers for which Whop didn't wait.", registry=registry)
        self._rejections = Counter(
            "whop_rejections", "Requests that were no deliveries.", ["reason"], registry=registry
        )
        self._deliveries = Counter(
            "whop_deliveries", "Deliveries by what became of them.", ["type", "outcome"], registry=registry
        )
        self._done_seconds = Histogram(
            "whop_done_seconds", "Seconds from the signature until all is done.", buckets=_UNTIL_DONE, registry=registry
        )
        self._calls = Counter(
            "whop_receiver_calls", "Calls of receivers by how they ended.", ["receiver", "outcome"], registry=registry
        )
        self._call_seconds = Histogram(
            "whop_receiver_seconds", "Seconds that receivers took.", ["receiver"], buckets=_CALLS, registry=registry
        )
        self._pulled = Counter("whop_pulled", "Deliveries that only a pull has brought.", registry=registry)
        registry.register(self.store)
        self._listen(app)

    def _listen(self, app: Flask) -> None:
        signals.delivery_answered.connect(self._answered, app)
        signals.delivery_rejected.connect(self._rejected, app)
        signals.delivery_accepted.connect(self._accepted, app)
        signals.delivery_duplicated.connect(self._duplicated, app)
        signals.delivery_processed.connect(self._processed, app)
        signals.delivery_dead_lettered.connect(self._dead_lettered, app)
        signals.receiver_called.connect(self._called, app)
        signals.deliveries_pulled.connect(self._note_pull, app)

    def _answered(self, _app: Flask, /, *, outcome: str, code: int, seconds: float) -> None:  # noqa: ARG002  # the signal's
        self._answers.labels(outcome).inc()
        self._answer_seconds.observe(seconds)
        if seconds >= WHOP_WAITS:
            self._late.inc()

    def _rejected(self, _app: Flask, /, *, rejection: Rejected) -> None:
        self._rejections.labels(rejection.reason.value).inc()

    def _accepted(self, _app: Flask, /, *, delivery: Delivery, event: AnyEvent) -> None:  # noqa: ARG002  # the signal's
        self._count(event, "accepted")

    def _duplicated(self, _app: Flask, /, *, delivery: Delivery, event: AnyEvent) -> None:  # noqa: ARG002  # likewise
        self._count(event, "duplicated")

    def _processed(self, _app: Flask, /, *, delivery: Delivery, event: AnyEvent) -> None:
        self._count(event, "processed")
        self._done_seconds.observe(max(0.0, time.time() - delivery.timestamp))

    def _dead_lettered(self, _app: Flask, /, *, delivery: Delivery, event: AnyEvent) -> None:  # noqa: ARG002  # likewise
        self._count(event, "dead_lettered")

    def _called(self, _app: Flask, /, *, event: AnyEvent, receiver: str, outcome: str, seconds: float) -> None:  # noqa: ARG002  # likewise
        self._calls.labels(receiver, outcome).inc()
        self._call_seconds.labels(receiver).observe(seconds)

    def _note_pull(self, _app: Flask, /, *, webhook_id: str, found: int) -> None:  # noqa: ARG002  # likewise
        self._pulled.inc(found)

    def _count(self, event: AnyEvent, outcome: str) -> None:
        # A type that this release doesn't know is any text that a sender writes.
        self._deliveries.labels("unknown" if isinstance(event, UnknownEvent) else event.type, outcome).inc()


class StoreCollector(Collector):
    """What is in an app's store, asked for at each scrape; nothing if the store can't be reached."""

    def __init__(self, app: Flask) -> None:
        self._app = app

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Return the names without asking the store, which may not be there yet."""
        yield from self._gauges({}, 0.0, 0)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Ask the store."""
        try:
            with self._app.app_context():
                installation = Installation.of(self._app)
                counts, _, oldest = installation.store.stats(installation.engine.endpoint)
                workers = workers_of(installation)
        except StoreUnavailable:
            return
        yield from self._gauges(
            {state.value: counts.get(state, 0) for state in State if state in counts}, oldest, workers
        )

    def _gauges(self, counts: dict[str, int], oldest: float | None, workers: int) -> Iterator[GaugeMetricFamily]:
        unfinished = GaugeMetricFamily("whop_unfinished", "Deliveries that aren't done, by state.", labels=["state"])
        for state, count in counts.items():
            unfinished.add_metric([state], count)
        yield unfinished
        yield GaugeMetricFamily(
            "whop_oldest_unfinished_seconds",
            "Age of the oldest delivery that isn't done, dead ones aside.",
            oldest or 0.0,
        )
        yield GaugeMetricFamily("whop_workers", "Workers that have shown a sign of life within a minute.", workers)
