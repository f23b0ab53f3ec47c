"""Collects what an app's lifecycle signals report."""

from __future__ import annotations

from flask import Flask

from flask_whop import signals
from flask_whop.errors import Reason, Rejected
from flask_whop.events import AnyEvent, parse_event
from flask_whop.signature import Delivery
from flask_whop.testing.answers import ReceiverFailure


class Listener:
    """Collects the events that reach an app, what its receivers raise, and what is rejected."""

    def __init__(self) -> None:
        self.events: dict[str, AnyEvent] = {}
        self.failures: list[ReceiverFailure] = []
        self.rejections: list[Rejected] = []
        self._event_ids: dict[str, str] = {}
        # Events read here from the body; receivers get another object.
        self._unmet: set[str] = set()

    def listen_to(self, app: Flask) -> None:
        """Connect to the signals of ``app``."""
        signals.delivery_received.connect(self._received, app)
        signals.delivery_rejected.connect(self._rejected, app)
        signals.receiver_failed.connect(self._failed, app)
        signals.event_unhandled.connect(self._met, app)
        signals.delivery_processed.connect(self._met, app)

    def clear(self) -> None:
        """Forget everything collected."""
        for collected in (self.events, self.failures, self.rejections, self._event_ids, self._unmet):
            collected.clear()

    def _received(self, _app: Flask, /, *, delivery: Delivery) -> None:
        # This signal comes before the engine reads the body, and is the only one sent for each
        # delivery, whenever its receivers run.
        try:
            event = parse_event(delivery.body, delivery.id)
        except Rejected:
            return
        self._event_ids[delivery.id] = event.id
        if event.id not in self.events:
            self.events[event.id] = event
            self._unmet.add(event.id)

    def _rejected(self, _app: Flask, /, *, rejection: Rejected) -> None:
        self.rejections.append(rejection)
        event_id = self._event_ids.get(rejection.delivery_id or "")
        if rejection.reason is Reason.FOREIGN_ACCOUNT and event_id in self._unmet:
            self._unmet.discard(event_id)
            del self.events[event_id]

    def _failed(self, _app: Flask, /, *, event: AnyEvent, receiver: str, error: Exception) -> None:
        self._met(_app, event=event)
        self.failures.append(ReceiverFailure(receiver, error, event))

    def _met(self, _app: Flask, /, *, event: AnyEvent, **_about: object) -> None:
        """Keep the very object that receivers got."""
        if event.id in self._unmet:
            self._unmet.discard(event.id)
            self.events[event.id] = event
