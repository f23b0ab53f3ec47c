"""The signals that report what happens to deliveries, and the receivers that each of them takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from flask_whop.signals.kinds import LifecycleSignal

if TYPE_CHECKING:
    from flask import Flask

    from flask_whop import events
    from flask_whop.doctor.finding import Finding
    from flask_whop.errors import Rejected
    from flask_whop.signature import Delivery


class DeliveryReceiver(Protocol):
    """Receives ``delivery_received``."""

    def __call__(self, app: Flask, /, *, delivery: Delivery) -> object:
        """Note ``delivery``."""
        ...


class RejectionReceiver(Protocol):
    """Receives ``delivery_rejected``."""

    def __call__(self, app: Flask, /, *, rejection: Rejected) -> object:
        """Note ``rejection``; ``rejection.reason`` is for programs to read."""
        ...


class DiagnosisReceiver(Protocol):
    """Receives ``rejection_diagnosed``."""

    def __call__(self, app: Flask, /, *, rejection: Rejected, finding: Finding) -> object:
        """Note the ``finding``, which says what is wrong, why it matters, and how to fix it."""
        ...


class EventDeliveryReceiver(Protocol):
    """Receives ``delivery_accepted``, ``…_processed``, ``…_duplicated`` and ``…_dead_lettered``."""

    def __call__(self, app: Flask, /, *, delivery: Delivery, event: events.AnyEvent) -> object:
        """Note ``delivery``, which carried ``event``."""
        ...


class FailureReceiver(Protocol):
    """Receives ``receiver_failed``."""

    def __call__(self, app: Flask, /, *, event: events.AnyEvent, receiver: str, error: Exception) -> object:
        """Note ``error``, raised by the receiver named ``receiver``."""
        ...


class EventReceiver(Protocol):
    """Receives ``event_unhandled`` and ``payload_drifted``."""

    def __call__(self, app: Flask, /, *, event: events.AnyEvent) -> object:
        """Note ``event``."""
        ...


class CallReceiver(Protocol):
    """Receives ``receiver_called``."""

    def __call__(self, app: Flask, /, *, event: events.AnyEvent, receiver: str, outcome: str, seconds: float) -> object:
        """Note how the receiver ended: ``done``, ``skipped``, ``failed``, ``retry_later`` or ``given_up``."""
        ...


class AnswerReceiver(Protocol):
    """Receives ``delivery_answered``."""

    def __call__(self, app: Flask, /, *, outcome: str, code: int, seconds: float) -> object:
        """Note the answer to a request: its HTTP status, and the outcome as the log has it."""
        ...


class PullReceiver(Protocol):
    """Receives ``deliveries_pulled``."""

    def __call__(self, app: Flask, /, *, webhook_id: str, found: int) -> object:
        """Note how many deliveries of the webhook were ``found`` that hadn't arrived or weren't finished."""
        ...


delivery_received: LifecycleSignal[DeliveryReceiver] = LifecycleSignal("delivery_received", ("delivery",))
"""Sent when a delivery is verified, by its signature or by the channel that it was pulled through."""
delivery_rejected: LifecycleSignal[RejectionReceiver] = LifecycleSignal("delivery_rejected", ("rejection",))
"""Sent for each request that isn't a delivery for this app."""
rejection_diagnosed: LifecycleSignal[DiagnosisReceiver] = LifecycleSignal(
    "rejection_diagnosed", ("rejection", "finding")
)
"""Sent after the answer, when the doctor knows why a request couldn't be verified; at most once a second."""
delivery_accepted: LifecycleSignal[EventDeliveryReceiver] = LifecycleSignal("delivery_accepted", ("delivery", "event"))
"""Sent when a delivery is stored and owned: its retry is ours."""
delivery_processed: LifecycleSignal[EventDeliveryReceiver] = LifecycleSignal(
    "delivery_processed", ("delivery", "event")
)
"""Sent when every receiver is done with the event of a delivery."""
delivery_duplicated: LifecycleSignal[EventDeliveryReceiver] = LifecycleSignal(
    "delivery_duplicated", ("delivery", "event")
)
"""Sent for a delivery that is finished or owned already, or still running."""
delivery_dead_lettered: LifecycleSignal[EventDeliveryReceiver] = LifecycleSignal(
    "delivery_dead_lettered", ("delivery", "event")
)
"""Sent when a receiver has run out of retries."""
delivery_answered: LifecycleSignal[AnswerReceiver] = LifecycleSignal(
    "delivery_answered", ("outcome", "code", "seconds")
)
"""Sent for each request to the route, when its answer is known."""
receiver_called: LifecycleSignal[CallReceiver] = LifecycleSignal(
    "receiver_called", ("event", "receiver", "outcome", "seconds")
)
"""Sent for each receiver that an event was for, when it has ended or been skipped."""
receiver_failed: LifecycleSignal[FailureReceiver] = LifecycleSignal("receiver_failed", ("event", "receiver", "error"))
"""Sent for each receiver that raised."""
event_unhandled: LifecycleSignal[EventReceiver] = LifecycleSignal("event_unhandled", ("event",))
"""Sent for each event that has no receiver in the app."""
deliveries_pulled: LifecycleSignal[PullReceiver] = LifecycleSignal("deliveries_pulled", ("webhook_id", "found"))
"""Sent after each pull from Whop's delivery log."""
payload_drifted: LifecycleSignal[EventReceiver] = LifecycleSignal("payload_drifted", ("event",))
"""Sent when a payload doesn't fit its model; ``event.drift`` names the fields."""
