"""An event of any type, in its own module because it imports the class of all payloads."""

from __future__ import annotations

from typing import TypeAlias

from flask_whop.events.envelope import Event
from flask_whop.events.payload import Payload

AnyEvent: TypeAlias = Event[str, Payload]
"""An event of any type."""
