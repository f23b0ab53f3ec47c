"""Names and patterns of events, such as ``payment.*``."""

from __future__ import annotations

from fnmatch import fnmatchcase

from flask_whop.events.registry import no_such_event
from flask_whop.signals import EVENT_SIGNALS


def matching(pattern: str) -> tuple[str, ...]:
    """Return the event types that ``pattern`` names: one by its name, or several by ``*``.

    Raises :class:`~flask_whop.errors.UnknownEventError` if there are none, naming the
    nearest ones.
    """
    matches = tuple(event_type for event_type in EVENT_SIGNALS if fnmatchcase(event_type, pattern))
    if not matches:
        raise no_such_event(pattern, EVENT_SIGNALS)
    return matches
