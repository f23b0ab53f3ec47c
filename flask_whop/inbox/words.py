"""How the inbox writes times, durations and states."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Final

from flask_whop.names import shown
from flask_whop.stores import ReceiptState, State

MEANINGS: Final = {
    State.RUNNING: "Its receivers are being called.",
    State.FAILED: "A receiver failed, and Whop sends the delivery again.",
    State.DUE: "A receiver isn't done, and we call it again.",
    State.DONE: "Every receiver is done with it.",
    State.DEAD: "A receiver ran out of retries: it's called again only if somebody replays the delivery.",
}
"""What it means that a delivery is in a state."""

RECEIPTS: Final = {
    ReceiptState.DONE: "done",
    ReceiptState.GIVEN_UP: "gave up",
    ReceiptState.SKIPPED: "skipped",
    ReceiptState.STARTED: "started",
    ReceiptState.FAILED: "failed",
    ReceiptState.DEAD: "dead",
}

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_LONG = 255


def moment(seconds: float) -> str:
    """Write a unix time for people, in UTC."""
    return datetime.fromtimestamp(seconds, tz=timezone.utc).strftime("%d %b %Y %H:%M:%S")


def iso(seconds: float) -> str:
    """Write a unix time as ISO 8601, in UTC."""
    return datetime.fromtimestamp(seconds, tz=timezone.utc).isoformat(timespec="seconds")


def duration(seconds: float) -> str:  # noqa: PLR0911  # one for each unit
    """Write a duration in the unit that suits it."""
    if seconds < 0.01:  # noqa: PLR2004  # the units are what they are
        return f"{seconds * 1000:.1f} ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    if seconds < 2 * _DAY:
        return f"{seconds / _HOUR:.0f} h"
    return f"{seconds / _DAY:.0f} days"


def last_line(error: str) -> str:
    """Return the line of a traceback that says what was raised."""
    return plain(error.rstrip().rpartition("\n")[2].strip())


def plain(text: object) -> str:
    """Return a text from outside without secrets, and with escapes for what would reverse or hide other text."""
    return shown(text, _LONG)
