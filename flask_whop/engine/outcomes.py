"""What can become of a delivery."""

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
    """It's in our store, and owned: the retry is ours."""
    DUPLICATE = "duplicate"
    """It was finished before, or was owned already."""
    RUNNING = "running"
    """Another process is running it, or another event of its resource, right now."""
    RETRY_LATER = "retry_later"
    """A receiver asked to be called later."""
    FAILED = "failed"
    """A receiver raised."""
    DEAD = "dead"
    """A receiver raised, and ran out of retries."""

    @property
    def owned(self) -> bool:
        """Whether Whop may forget the delivery: nothing is left to retry, or the retry is ours.

        This is the one principle: the blueprint answers 2xx exactly when this is true.
        """
        return self not in _WHOPS


_WHOPS = frozenset({Status.RUNNING, Status.RETRY_LATER, Status.FAILED})


class Outcome(NamedTuple):
    """What became of a delivery, and which event it carried."""

    status: Status
    event: AnyEvent
    ran: int = 0
    """How many receivers were called."""
    failed: int = 0
    """How many of those aren't done."""
    retry_after: float | None = None
    """When to try again, in seconds, if a receiver named a time."""
    answer: str | None = None
    """What a receiver answers to an event that wants an answer, as JSON."""
