"""Says what became of a delivery: by signals, and in the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flask_whop import signals
from flask_whop.engine.outcomes import Outcome, Status
from flask_whop.logs import facts, log

if TYPE_CHECKING:
    from flask_whop.engine.host import Host
    from flask_whop.signature import Delivery

_MOST_DRIFT_LOGGED: Final = 10


def announce_outcome(host: Host, outcome: Outcome, delivery: Delivery) -> None:
    """Send the signals that say what became of a delivery, and log what somebody should know."""
    event = outcome.event
    if outcome.status is Status.UNHANDLED:
        host.notify(signals.event_unhandled, event=event)
    if outcome.status is Status.DEAD:
        log.error(
            "Delivery %s dead-lettered: a receiver of %s ran out of retries.",
            *(delivery.id, event.type),
            extra=facts(delivery=delivery.id, type=event.type, account=event.account_id, outcome="dead"),
        )
        host.notify(signals.delivery_dead_lettered, delivery=delivery, event=event)
    if outcome.status in (Status.DUPLICATE, Status.RUNNING):
        host.notify(signals.delivery_duplicated, delivery=delivery, event=event)
        return
    if event.drift_seen or (signals.payload_drifted.receivers and event.drift):
        log.warning(
            "%s %s doesn't fit its model at %s; its receivers got what came.",
            event.type,
            event.id,
            ", ".join(event.drift[:_MOST_DRIFT_LOGGED]),
            extra=facts(delivery=delivery.id, type=event.type, account=event.account_id, reason="drift"),
        )
        host.notify(signals.payload_drifted, event=event)
    if outcome.status in (Status.PROCESSED, Status.UNHANDLED):
        host.notify(signals.delivery_processed, delivery=delivery, event=event)
