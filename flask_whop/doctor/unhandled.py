"""A receiver to copy, for whoever has none for an event yet."""

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
    """The source of a receiver for events of this type."""
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
    """Logs each type of event that nobody handles, once, with a receiver for it; for apps in debug mode."""

    def __init__(self, app: Flask) -> None:
        self._told: set[str] = set()
        self._lock = threading.Lock()
        event_unhandled.connect(self._tell, sender=app)

    def _tell(self, app: Flask, *, event: AnyEvent) -> None:
        if not app.debug:
            return
        # A type that is not known is whatever somebody wrote.
        shown = "an unknown type" if isinstance(event, UnknownEvent) else event.type
        with self._lock:
            known = shown in self._told
            self._told.add(shown)
        if not known:
            receiver = ready_receiver("" if isinstance(event, UnknownEvent) else event.type)
            # As a whole, since it is all ours: a value would become one line.
            log.info(f"Nobody handles {shown}. A receiver to copy:\n\n{receiver}")  # noqa: G004  # see above
