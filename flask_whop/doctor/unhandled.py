"""In debug mode: logs a receiver to copy for each event that has none."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from flask_whop.events import UnknownEvent, event_class
from flask_whop.logs import log
from flask_whop.signals import event_unhandled

if TYPE_CHECKING:
    from flask import Flask

    from flask_whop.events import AnyEvent


def ready_receiver(event_type: str) -> str:
    """Return the source of a receiver for events of this type."""
    cls = event_class(event_type)
    if cls is None:
        return '@whop.on("*")\ndef on_anything(app, event, **extra):\n    print(event.type, event.raw)\n'
    name = event_type.replace(".", "_")
    return (
        f"from flask_whop.events import {cls.__name__}\n\n\n"
        f"@whop.on({cls.__name__})\n"
        f"def on_{name}(app, event: {cls.__name__}, **extra):\n"
        "    print(event.id, event.data)\n"
    )


class UnhandledLog:
    """Logs each event type that nobody handles, once, with a receiver to copy; for apps in debug mode."""

    def __init__(self, app: Flask) -> None:
        self._logged: set[str] = set()
        self._lock = threading.Lock()
        event_unhandled.connect(self._log, sender=app)

    def _log(self, app: Flask, *, event: AnyEvent) -> None:
        if not app.debug:
            return
        # An unknown type can be any text.
        title = "an unknown type" if isinstance(event, UnknownEvent) else event.type
        with self._lock:
            known = title in self._logged
            self._logged.add(title)
        if not known:
            receiver = ready_receiver("" if isinstance(event, UnknownEvent) else event.type)
            # As one message, since all of it is ours: an argument would be put on one line.
            log.info(f"Nobody handles {title}. A receiver to copy:\n\n{receiver}")  # noqa: G004  # see above
