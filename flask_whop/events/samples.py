"""Made-up deliveries as Whop would send them, in the shape of each version pin."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from fnmatch import fnmatchcase
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Final, NamedTuple, TypeAlias

from pydantic import JsonValue

from flask_whop.checks import is_pin
from flask_whop.errors import CheckFailed, UnknownEventError
from flask_whop.events import AnyEvent
from flask_whop.events.fields import fill
from flask_whop.events.registry import no_such_event

Body: TypeAlias = dict[str, JsonValue]

FIRST_ACCOUNT_ID_PIN: Final = "2026-08-14"
"""From this pin on the envelope has ``account_id``; before, ``company_id`` (Whop's versioning page)."""


_Models: TypeAlias = Mapping[str, Mapping[str, tuple[str, list[JsonValue]]]]
"""Whop's payload classes by name: the type of each field, and the words it may have."""


_WILDCARDS: Final = frozenset("*?[")
_LISTED: Final = 10


class _Shapes(NamedTuple):
    """What Whop sends: the class of each event's payload in both shapes, and the classes of each shape."""

    events: dict[str, tuple[str | None, str | None]]
    unpinned: _Models
    pinned: _Models


class _Shape(NamedTuple):
    """Makes payloads in one of Whop's shapes."""

    models: _Models

    def value(self, kind: str, field: str, words: list[JsonValue]) -> JsonValue:
        """Return a plausible value of the type ``kind`` for ``field``."""
        if kind.startswith("list["):
            return [self.value(kind[5:-1], field.removesuffix("s"), words)]
        if kind.startswith("dict["):
            return {}
        kind = kind.split(" | ", maxsplit=1)[0]
        if kind == "Money":
            return {"amount": _AMOUNT, "currency": "usd", "decimals": 2, "display_decimals": 2}
        if kind in self.models:
            return self.object(kind, field)
        if words:
            return words[0]
        return _plain(kind, field)

    def object(self, model: str, field: str) -> Body:
        """Return a plausible object of the class ``model`` for ``field``."""
        # An id depends on what it identifies: a user has the same one in `user` and in `user_id`.
        return {
            name: self.value(kind, f"{field}_id" if name == "id" else name, words)
            for name, (kind, words) in self.models[model].items()
        }


def sample(event_type: str, pin: str | None = None, /, **data: JsonValue) -> Body:
    """Make the body of a delivery of ``event_type``, the same on each call.

    ``pin`` is the version the webhook is pinned to (``2026-10-15-1``). Without one the
    body has the older shape, with nested objects and bare amounts; some resources have
    only one shape. Keywords set fields of ``data``, by name or by path
    (``**{"user.email": …}``); an object is merged into the sample's. To replace fields of
    the envelope, merge: ``sample(…) | {"id": "msg_1"}``.

    Raises :class:`~flask_whop.errors.UnknownEventError` if no event has this name, and
    :class:`~flask_whop.errors.CheckFailed` for a field that its payload doesn't have, or a
    pin that isn't a date.
    """
    __tracebackhide__ = True
    refuse_pattern(event_type)
    if event_type not in _shapes().events:
        raise no_such_event(event_type, _shapes().events)
    if pin is not None and not is_pin(pin):
        raise CheckFailed(f"A pin is a date, such as 2026-10-15 or 2026-10-15-1; {pin!r} isn't.")
    body = deepcopy(_made(event_type, pin))
    fill(body, {f"data.{path}": value for path, value in data.items()})
    return body


def refuse_pattern(event_type: str) -> None:
    """Raise :class:`~flask_whop.errors.UnknownEventError` for a pattern where one event's name is needed."""
    if not _WILDCARDS.isdisjoint(event_type):
        found = [known for known in _shapes().events if fnmatchcase(known, event_type)]
        more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
        listed = f"; it matches {', '.join(found[:_LISTED])}{more}" if found else "; it matches none"
        raise UnknownEventError(f"{event_type!r} is a pattern, and one event's name is needed{listed}.")


def type_of(event: type[AnyEvent] | str) -> str:
    """Return the type of an event given by type or by class.

    Raises :class:`~flask_whop.errors.UnknownEventError` if a class isn't that of one event.
    """
    event_type = event if isinstance(event, str) else getattr(event, "type", None)
    if not isinstance(event_type, str):
        raise UnknownEventError(f"{event!r} isn't the class of one event, such as PaymentSucceeded.")
    return event_type


@cache
def _made(event_type: str, pin: str | None) -> Body:
    shapes = _shapes()
    unpinned, pinned = shapes.events[event_type]
    resource = event_type.split(".", maxsplit=1)[0]
    older = (pin is None and unpinned is not None) or pinned is None
    model = unpinned if older else pinned
    shape = _Shape(shapes.unpinned if older else shapes.pinned)
    envelope: Body = {
        "id": f"msg_{_letters(event_type, pin or '')}",
        "api_version": "v1",
        "timestamp": _TIME,
        "type": event_type,
        "data": _adapted(event_type, shape.object(model, resource)) if model else {"id": _identifier(resource)},
    }
    if pin is not None:
        envelope["api_version_date"] = pin
    account = "account_id" if pin is not None and pin >= FIRST_ACCOUNT_ID_PIN else "company_id"
    envelope[account] = _identifier("account")
    return envelope


def _adapted(event_type: str, data: Body) -> Body:
    """Return ``data`` adapted to what happened: a payment that succeeded is paid, and didn't fail."""
    changes = {name: value for name, value in _CHANGES.get(event_type, _ABSENT).items() if name in data}
    if "status" in data and event_type not in _CHANGES:
        happened = event_type.split(".", 1)[1]
        possible = _statuses_of(event_type)
        statuses = [status for status in _STATUSES.get(happened, (happened,)) if status in possible]
        changes |= {"status": statuses[0]} if statuses else {}
    return {**data, **changes}


def _statuses_of(event_type: str) -> list[JsonValue]:
    """Return the words that ``status`` may be in the payload of ``event_type``, in either shape."""
    shapes = _shapes()
    unpinned, pinned = shapes.events[event_type]
    return [
        status
        for models, model in ((shapes.unpinned, unpinned), (shapes.pinned, pinned))
        if model is not None and "status" in models[model]
        for status in models[model]["status"][1]
    ]


@cache
def _shapes() -> _Shapes:
    shapes = json.loads(files("flask_whop.events").joinpath("shapes.json").read_text(encoding="utf-8"))
    for shape in ("unpinned", "pinned"):
        for fields in shapes[shape].values():
            for name, (kind, *words) in fields.items():
                fields[name] = (kind, words[0] if words else [])
    return _Shapes(**shapes)


@cache
def words_of(field: str) -> frozenset[str]:
    """Return the words that Whop documents for fields of this name, in whatever payload."""
    shapes = _shapes()
    models = (*shapes.unpinned.values(), *shapes.pinned.values())
    return frozenset(str(word) for fields in models if field in fields for word in fields[field][1])


@cache
def vocabulary() -> frozenset[str]:
    """Return the words that the names of Whop's fields are made of."""
    shapes = _shapes()
    names = {name for models in (shapes.unpinned, shapes.pinned) for fields in models.values() for name in fields}
    return frozenset(word for name in names for word in name.split("_"))


_AMOUNT: Final = "49.00"
_TIME: Final = "2026-11-02T10:00:00.000Z"


# Fields about things that didn't happen, unless the event is about one of them.
_ABSENT: Final[Body] = dict.fromkeys(
    (
        *("canceled_at", "cancel_option", "cancellation_reason", "feedback_option", "expires_at"),
        *("decline_code", "failure_message", "dispute_alerted_at", "refunded_at", "recovery_url"),
        *("refunded_amount", "tax_refunded_amount", "next_payment_attempt", "next_payment_attempt_at"),
        *("failed_at", "failure_code", "failure_reason", "failure", "error_code", "error_message"),
        *("last_setup_error", "declined_reason", "status_reason", "unavailable_reason"),
    )
)

# Fields that certain events set.
_CHANGES: Final[dict[str, Body]] = {
    "payment.succeeded": {**_ABSENT, "status": "paid", "substatus": "succeeded", "paid_at": _TIME},
    "payment.failed": {
        **_ABSENT,
        "status": "open",
        "substatus": "failed",
        "paid_at": None,
        "decline_code": "insufficient_funds",
        "failure_message": "The card has insufficient funds.",
    },
    "payment.requires_action": {
        **_ABSENT,
        "status": "open",
        "substatus": "pending",
        "paid_at": None,
        "recovery_url": "https://whop.com/recover/example",
    },
    "membership.deactivated": {**_ABSENT, "status": "canceled", "canceled_at": _TIME},
    "identity_profile.needs_action": {"status": "pending"},
    "transfer.created": {**_ABSENT, "status": "succeeded"},
}

# The statuses that fit what happened, the best first; by default the word itself.
_STATUSES: Final = {
    "activated": ("active",),
    "canceled": ("canceled", "void"),
    "completed": ("completed", "succeeded"),
    "decided": ("closed",),
    "marked_uncollectible": ("uncollectible",),
    "membership_went_invalid": ("canceled",),
    "membership_went_valid": ("active",),
    "payment_failed": ("payment_failed", "open"),
    "payment_succeeded": ("paid",),
    "voided": ("void",),
    "went_invalid": ("canceled",),
    "went_valid": ("active",),
    "created": ("created", "open", "pending", "requested", "active", "needs_response", "processing"),
    "funds_available": (),
    "succeeded": ("succeeded", "approved", "verified", "paid"),
    "trial_ending_soon": ("trialing",),
    "updated": ("active", "approved", "succeeded", "in_transit"),
}

# The prefix of an id, by the thing it identifies; without one here, the start of its last word.
_PREFIXES: Final = {
    "account": "biz",
    "ad_campaign": "adcamp",
    "ad_group": "adgrp",
    "card": "icrd",
    "card_application": "crda",
    "card_transaction": "ctxn",
    "cardholder": "user",
    "channel": "feed",
    "chapter": "chap",
    "checkout_configuration": "ch",
    "course": "cors",
    "course_lesson_interaction": "crsli",
    "dispute": "dspt",
    "dispute_alert": "dspa",
    "experience": "exp",
    "export": "exprt",
    "identity_profile": "idpf",
    "invoice": "inv",
    "ledger_account": "ldgr",
    "lesson": "lesn",
    "member": "mber",
    "membership": "mem",
    "message": "msg",
    "owner": "user",
    "payment": "pay",
    "payment_method": "payt",
    "payout": "wdrl",
    "payout_account": "poact",
    "payout_method": "potk",
    "product": "prod",
    "promo_code": "promo",
    "refund": "rfnd",
    "resolution": "reso",
    "resolution_center_case": "reso",
    "setup_intent": "sint",
    "shipment": "ship",
    "transfer": "ctt",
    "verification": "verf",
    "withdrawal": "wdrl",
}

PREFIXES: Final = frozenset({*_PREFIXES.values(), "plan", "user", "app", "hook", "file"})
"""The prefixes of Whop's ids."""

_TEXTS: Final = {
    "answer": "Weekends",
    "available": "120.5",
    "brand": "visa",
    "business_name": "Engines & Sons Ltd",
    "business_structure": "llc",
    "card_brand": "visa",
    "card_last4": "4242",
    "city": "London",
    "country": "GB",
    "country_code": "GB",
    "currency": "usd",
    "customer_name": "Ada King",
    "date_of_birth": "1990-12-10",
    "description": "Everything that the club offers.",
    "display_name": "Visa •••• 4242",
    "email": "ada@example.com",
    "expiration_month": "12",
    "expiration_year": "2029",
    "filename": "receipt.pdf",
    "first_name": "Ada",
    "formatted_price": "$49.00 / month",
    "ip_address": "203.0.113.7",
    "language": "en",
    "last4": "4242",
    "last_error_reason": "Document image was too blurry to read.",
    "last_name": "King",
    "line1": "12 St James's Square",
    "line2": "2nd floor",
    "name": "Ada King",
    "phone": "+442079460123",
    "postal_code": "SW1Y 4JH",
    "in_transit": "0.0",
    "pending": "30.25",
    "precision": "100000000",
    "profile_type": "individual",
    "question": "When can you come?",
    "reserve": "0.0",
    "state": "England",
    "title": "The Analytical Club",
    "username": "ada",
}

_NUMBERS: Final = {"exp_month": 12, "exp_year": 2029, "latitude": 51.5072, "longitude": -0.1276, "position": 1}


def _plain(kind: str, field: str) -> JsonValue:
    """Return a plausible number, text, time or boolean for ``field``."""
    if kind == "bool":
        return False
    if kind == "datetime" or (kind == "str" and field.endswith(("_at", "_end", "_start"))) or field == "timestamp":
        return _TIME
    if kind in ("int", "float"):
        number = _NUMBERS.get(field, 3)
        return number if kind == "int" or field in _NUMBERS or not _is_amount(field) else float(_AMOUNT)
    return _text(field)


def _text(field: str) -> str:  # noqa: PLR0911  # one return for each kind
    if field.endswith("_id"):
        return _identifier(field.removesuffix("_id"))
    for ending in (field, field.rsplit("_", maxsplit=1)[-1]):
        if ending in _TEXTS:
            return _TEXTS[ending]
    if field.endswith("currency_code"):
        return "usd"
    if field.endswith("url"):
        return f"https://example.com/{field}"
    if field.endswith("date"):
        return "2026-11-02"
    if _is_amount(field):
        return _AMOUNT
    return field.replace("_", " ")


def _is_amount(field: str) -> bool:
    words = {"amount", "balance", "fee", "price", "subtotal", "total", "usd", "cost", "spend", "limit", "received"}
    return not words.isdisjoint(field.split("_"))


def _identifier(thing: str) -> str:
    """Return an id in Whop's format; a thing has the same one everywhere."""
    thing = "account" if thing in ("company", "linked_companie") else thing
    return f"{_PREFIXES.get(thing, thing.split('_')[-1][:5])}_{_letters(thing)}"


def _letters(*seeds: str) -> str:
    """Return fourteen letters and digits that depend on ``seeds`` only."""
    number = int.from_bytes(sha256("/".join(seeds).encode()).digest()[:12], "big")
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    letters = []
    for _ in range(14):
        number, index = divmod(number, len(alphabet))
        letters.append(alphabet[index])
    return "".join(letters)
