"""Parse a body into an event; find its class by its type, and every class of this package by its name.

There is no list of events here: the first word of a type or a class names its family, a
module of this package, which is imported when one of its classes is first needed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from flask_whop.errors import UnknownEventError
from flask_whop.events.bodies import envelope_of, parse_object
from flask_whop.events.envelope import Event, UnknownEvent

if TYPE_CHECKING:
    from types import ModuleType

    from pydantic import JsonValue

    from flask_whop.events.anything import AnyEvent

FAMILIES: Final = {
    "accounts": "account financing",
    "ads": "ad",
    "cards": "card",
    "chat": "chat",
    "courses": "course",
    "disputes": "dispute resolution",
    "entries": "entry",
    "exports": "export",
    "identity": "identity verification",
    "invoices": "invoice",
    "ledger": "ledger financial swap deposit",
    "memberships": "membership member",
    "payments": "payment refund setup",
    "payouts": "payout withdrawal",
    "products": "product plan",
    "shipping": "shipment shipping",
    "transfers": "transfer",
}
"""Each family, with the first words of its event types and of the payloads they carry."""

_FAMILY_OF: Final = {word: family for family, words in FAMILIES.items() for word in words.split()}
# Events of apps have the word of their resource second: `app_payment.created`, `app.payment_failed`, AppPaymentCreated.
_FIRST_WORD: Final = re.compile(r"(?:app[._]|App(?=[A-Z]))?([A-Z]?[a-z]{1,20})")
_ELSEWHERE: Final = {
    "AnyEvent": "anything",
    "EventName": "event_names",
    "EventPattern": "event_names",
    "Money": "money",
    "Payload": "payload",
    "Resource": "resource",
}
_classes: Final[dict[str, type[AnyEvent]]] = {}
"""The classes found so far, by type. Unknown types aren't remembered, since there can be any number of them."""


def parse_event(body: bytes | Mapping[str, JsonValue], delivery_id: str = "") -> AnyEvent:
    """Parse ``body`` into an event of its type's class, or an :class:`UnknownEvent`.

    ``body`` is what was sent, or its JSON object, such as a sample of the test kit.
    ``delivery_id`` is the event's id if the body has none. Raises
    :class:`~flask_whop.errors.Rejected` if the body isn't a JSON object.
    """
    if isinstance(body, Mapping):
        body = json.dumps(body).encode()
    envelope = envelope_of(parse_object(body, delivery_id), delivery_id)
    return (event_class(envelope.get("type")) or UnknownEvent)(envelope, body, delivery_id)


def event_class(event_type: object) -> type[AnyEvent] | None:
    """Return the class of ``event_type``, or None if this release doesn't know the type."""
    if not isinstance(event_type, str):
        return None
    cls = _classes.get(event_type)
    if cls is None and (family := _family_of(event_type)):
        cls = _events_in(family).get(event_type)
        if cls is not None:
            _classes[event_type] = cls
    return cls


@cache
def load(name: str) -> Any:
    """Return what this package calls ``name``: its ``__getattr__``.

    A class is looked for in its family first, and then in all of them. What a family
    merely imports is found as well: type checkers see it, since they read the package as
    importing everything from each family.
    """
    if name == "EVENT_TYPES":
        return tuple(event_type for family in FAMILIES for event_type in _events_in(family))
    if name in _ELSEWHERE:
        return getattr(_module(_ELSEWHERE[name]), name)
    if name[:1].isupper():
        for family in filter(None, (_family_of(name), *FAMILIES)):
            module = _module(family)
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module 'flask_whop.events' has no attribute {name!r}")


def names() -> list[str]:
    """Return the names of this package, those that aren't imported yet included: its ``__dir__``."""
    present = vars(import_module("flask_whop.events"))
    return sorted(
        {*present, "EVENT_TYPES", *_ELSEWHERE, *(cls.__name__ for family in FAMILIES for cls in _classes_in(family))}
    )


def no_such_event(pattern: str, event_types: Iterable[str]) -> UnknownEventError:
    """Return the error for a name or pattern that fits none of ``event_types``; it suggests the nearest ones."""
    near = get_close_matches(pattern.replace("_", "."), list(event_types), n=3, cutoff=0.5)
    advice = f"Did you mean {' or '.join(map(repr, near))}?" if near else "See flask_whop.events.EVENT_TYPES."
    return UnknownEventError(f"Whop sends no event called {pattern!r}. {advice}")


def _family_of(name: str) -> str | None:
    word = _FIRST_WORD.match(name)
    return _FAMILY_OF.get(word[1].lower()) if word else None


def _module(name: str) -> ModuleType:
    return import_module(f"flask_whop.events.{name}")


def _classes_in(family: str) -> list[type]:
    """Import a family, and return the classes it defines."""
    module = _module(family)
    return [value for value in vars(module).values() if isinstance(value, type) and value.__module__ == module.__name__]


@cache
def _events_in(family: str) -> dict[str, type[AnyEvent]]:
    return {vars(cls)["type"]: cls for cls in _classes_in(family) if issubclass(cls, Event)}
