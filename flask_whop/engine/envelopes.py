"""Bodies whose signature is good, and which are yet no events as Whop sends them."""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING

from flask_whop.events import EVENT_TYPES, UnknownEvent
from flask_whop.logs import log

if TYPE_CHECKING:
    from flask_whop.events import AnyEvent


class OddEnvelopeLog:
    """Warns of each kind of odd body, once: of none of them would a receiver of a known event be called."""

    def __init__(self) -> None:
        # All texts of ours, so that no sender can fill it.
        self._told: set[str] = set()
        self._lock = threading.Lock()

    def look_at(self, event: AnyEvent) -> None:
        """Warn if ``event`` looks like something else than an event, and such a one has not been seen before."""
        oddity = _oddity_of(event) if isinstance(event, UnknownEvent) else None
        if oddity is None:
            return
        with self._lock:
            known = oddity in self._told
            self._told.add(oddity)
        if not known:
            # As a whole, since it is all ours: a value would be cut.
            log.warning(f"{oddity} This is said once; each such delivery is an unknown event.")  # noqa: G004  # see above


def _oddity_of(event: UnknownEvent) -> str | None:
    """What is odd about an event of unknown type, in words of ours alone; None if it is merely unknown."""
    if event.type:
        near = _spelled_otherwise().get(_letters(event.type))
        return near and f"A delivery has a type that is spelled otherwise than Whop does; it looks like {near}."
    if isinstance(event.raw.get("action"), str):
        return (
            "A delivery has an `action` and no `type`: it looks like Whop's old format (v2 or v5)."
            " Create a v1 webhook at Whop, and configure its secret."
        )
    return (
        "A delivery has no `type`, or none that is text: it looks like a payload without its envelope, or like no event"
        " of Whop's. Look at who else has the secret, and whether something on the way changes the body."
    )


@cache
def _spelled_otherwise() -> dict[str, str]:
    """The event types by their letters, each as a log shows it."""
    found: dict[str, list[str]] = {}
    for event_type in EVENT_TYPES:
        found.setdefault(_letters(event_type), []).append(f"`{event_type}`")
    return {letters: " or ".join(types) for letters, types in found.items()}


def _letters(event_type: str) -> str:
    """What is left of a type without its case and what separates its words."""
    return "".join(filter(str.isalnum, event_type)).lower()
