"""Well-signed bodies that aren't events as Whop sends them."""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING

from flask_whop.events import UnknownEvent
from flask_whop.logs import log
from flask_whop.signals import EVENT_SIGNALS

if TYPE_CHECKING:
    from flask_whop.events import AnyEvent


class OddEnvelopeLog:
    """Warns once of each kind of odd body, since no receiver of a known event is called for it."""

    def __init__(self) -> None:
        # Only texts of ours, so no sender can fill it.
        self._logged: set[str] = set()
        self._lock = threading.Lock()

    def look_at(self, event: AnyEvent) -> None:
        """Warn if ``event`` looks like something other than an event, and this kind hasn't been seen before."""
        oddity = _oddity_of(event) if isinstance(event, UnknownEvent) else None
        if oddity is None:
            return
        with self._lock:
            known = oddity in self._logged
            self._logged.add(oddity)
        if not known:
            # As one message, since all of it is ours: an argument would be cut.
            log.warning(f"{oddity} This is logged once; each such delivery is an unknown event.")  # noqa: G004  # see above


def _oddity_of(event: UnknownEvent) -> str | None:
    """Say what is odd about an event of unknown type, in our own words; None if it's merely unknown."""
    if event.type:
        near = _known_spellings().get(_letters(event.type))
        return near and f"A delivery has a type that Whop spells differently; it looks like {near}."
    if isinstance(event.raw.get("action"), str):
        return (
            "A delivery has an `action` but no `type`: it looks like a legacy webhook's (v2 or v5)."
            " Create a v1 webhook at Whop, and configure its secret."
        )
    return (
        "A delivery has no `type`, or one that isn't text: it looks like a payload without its envelope, or not like an"
        " event of Whop's. Check who else has the secret, and whether something on the way changes the body."
    )


@cache
def _known_spellings() -> dict[str, str]:
    """The event types as a log shows them, by their letters."""
    spellings: dict[str, list[str]] = {}
    for event_type in EVENT_SIGNALS:
        spellings.setdefault(_letters(event_type), []).append(f"`{event_type}`")
    return {letters: " or ".join(types) for letters, types in spellings.items()}


def _letters(event_type: str) -> str:
    """A type without its case and its separators."""
    return "".join(filter(str.isalnum, event_type)).lower()
