"""What Whop sends: one class for each type of event, and one for each payload.

They stand in one module per family and are imported when first asked for, so that an
app pays for the events that it uses. ``from flask_whop.events import PaymentSucceeded``
works for every event and every payload that an event carries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask_whop.events.envelope import Event as Event
from flask_whop.events.envelope import UnknownEvent as UnknownEvent
from flask_whop.events.envelope import parse_event as parse_event
from flask_whop.events.registry import EVENT_TYPES as EVENT_TYPES
from flask_whop.events.registry import HOMES, load
from flask_whop.events.registry import event_class as event_class
from flask_whop.events.registry import matching as matching

if TYPE_CHECKING:
    from flask_whop.events.accounts import *  # noqa: F403
    from flask_whop.events.ads import *  # noqa: F403
    from flask_whop.events.anything import AnyEvent as AnyEvent
    from flask_whop.events.cards import *  # noqa: F403
    from flask_whop.events.chat import *  # noqa: F403
    from flask_whop.events.courses import *  # noqa: F403
    from flask_whop.events.disputes import *  # noqa: F403
    from flask_whop.events.entries import *  # noqa: F403
    from flask_whop.events.exports import *  # noqa: F403
    from flask_whop.events.identity import *  # noqa: F403
    from flask_whop.events.invoices import *  # noqa: F403
    from flask_whop.events.ledger import *  # noqa: F403
    from flask_whop.events.memberships import *  # noqa: F403
    from flask_whop.events.money import Money as Money
    from flask_whop.events.payload import Payload as Payload
    from flask_whop.events.payments import *  # noqa: F403
    from flask_whop.events.payouts import *  # noqa: F403
    from flask_whop.events.products import *  # noqa: F403
    from flask_whop.events.resource import Resource as Resource
    from flask_whop.events.shipping import *  # noqa: F403
    from flask_whop.events.transfers import *  # noqa: F403


def __getattr__(name: str) -> Any:
    try:
        return load(name)
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted({*globals(), *HOMES})
