"""What may become of a delivery."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from flask_whop.events import AnyEvent


class Status(str, Enum):
    """What became of a delivery."""

    PROCESSED = "processed"
    """Every receiver is done with it."""
    UNHANDLED = "unhandled"
    """No receiver is connected to its event."""
    ACCEPTED = "accepted"
    """It is kept, and its retry is ours."""
    DUPLICATE = "duplicate"
    """It had been finished before, or its retry was ours already."""
    RUNNING = "running"
    """It is being processed by somebody else at this moment, or another event of its resource is."""
    RETRY_LATER = "retry_later"
    """A receiver asked to be called later."""
    FAILED = "failed"
    """A receiver raised."""
    DEAD = "dead"
    """A receiver raised, and is not called again."""


class Outcome(NamedTuple):
    """What became of a delivery, and of which event it was."""

    status: Status
    event: AnyEvent
    ran: int = 0
    """How many receivers were called."""
    failed: int = 0
    """How many of them are not done."""
    retry_after: float | None = None
    """When to try again, in seconds, if somebody named a time."""
