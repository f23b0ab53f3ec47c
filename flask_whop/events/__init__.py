"""What Whop sends: a class for each type of event, and one for each payload.

Each family of events is a module, imported when one of its names is first asked for,
so an app pays for the events it uses. ``from flask_whop.events import PaymentSucceeded``
works for every event, every payload, and every part that a family defines.

A new event is a class in its family, a line in :mod:`flask_whop.signals`, and a line in
``shapes.json``, from which samples are made; the tests name what is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_whop.events.envelope import Event as Event
from flask_whop.events.envelope import UnknownEvent as UnknownEvent
from flask_whop.events.registry import event_class as event_class
from flask_whop.events.registry import load, names
from flask_whop.events.registry import parse_event as parse_event

if TYPE_CHECKING:
    from flask_whop.events.accounts import *  # noqa: F403
    from flask_whop.events.ads import *  # noqa: F403
    from flask_whop.events.anything import AnyEvent as AnyEvent
    from flask_whop.events.cards import *  # noqa: F403
    from flask_whop.events.chat import *  # noqa: F403
    from flask_whop.events.courses import *  # noqa: F403
    from flask_whop.events.disputes import *  # noqa: F403
    from flask_whop.events.entries import *  # noqa: F403
    from flask_whop.events.event_names import EventName as EventName
    from flask_whop.events.event_names import EventPattern as EventPattern
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

    EVENT_TYPES: tuple[str, ...]
    """Every event type that has a class, by the name Whop gives it."""
else:
    # Hidden from type checkers: to them a module with a __getattr__ has every name, misspelled ones included.
    __getattr__, __dir__ = load, names
