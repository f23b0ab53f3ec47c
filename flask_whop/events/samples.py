"""Payloads as Whop would send them, made up, in the shape of each version pin."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Final, NamedTuple, TypeAlias, cast

from pydantic import JsonValue

from flask_whop.errors import UnknownEventError
from flask_whop.events import AnyEvent
from flask_whop.events.registry import no_such_event

Body: TypeAlias = dict[str, JsonValue]

FIRST_ACCOUNT_ID_PIN: Final = "2026-08-14"
"""From this pin on the envelope has ``account_id``, and ``company_id`` before (Whop's versioning page)."""


class _Shape(NamedTuple):
    """The payload classes of one of Whop's shapes: by name, each field's type and words."""

    models: Mapping[str, Mapping[str, tuple[str, list[JsonValue]]]]

    def value(self, kind: str, field: str, words: list[JsonValue]) -> JsonValue:
        """A plausible value of the type ``kind`` for ``field``."""
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
        """A plausible object of the class ``model``, which stands in ``field``."""
        made: Body = {}
        for name, (kind, words) in self.models[model].items():
            # An id says what it is of: that of a user stands in `user`, or in `user_id`.
            owner = f"{field}_id" if name == "id" else name
            made[name] = self.value(kind, owner, words)
        return made


def sample(event_type: str, pin: str | None = None, /, **data: JsonValue) -> Body:
    """Make the body of a delivery of ``event_type``, the same on each call.

    ``pin`` is the version that the webhook is pinned to (``2026-10-15-1``); without one
    it is the older shape, with nested objects and bare amounts. Some resources have one
    shape alone, which comes with and without a pin. Keywords replace fields of
    ``data``; for the envelope, merge: ``sample(…) | {"id": "msg_1"}``.

    Raises :class:`~flask_whop.errors.UnknownEventError` if no event has this name.
    """
    if event_type not in _shapes().events:
        raise no_such_event(event_type, _shapes().events)
    body = deepcopy(_made(event_type, pin))
    return {**body, "data": {**cast("Body", body["data"]), **data}}


def type_of(event: type[AnyEvent] | str) -> str:
    """The name of the event that is given by name or by class.

    Raises :class:`~flask_whop.errors.UnknownEventError` if a class is not that of one event.
    """
    event_type = event if isinstance(event, str) else getattr(event, "type", None)
    if not isinstance(event_type, str):
        raise UnknownEventError(f"{event!r} is not the class of one event, such as PaymentSucceeded.")
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
        "timestamp": "2026-11-02T10:00:00.000Z",
        "type": event_type,
        "data": _told_by(event_type, shape.object(model, resource)) if model else {"id": _identifier(resource)},
    }
    if pin is not None:
        envelope["api_version_date"] = pin
    account = "account_id" if pin is not None and pin >= FIRST_ACCOUNT_ID_PIN else "company_id"
    envelope[account] = _identifier("account")
    return envelope


def _told_by(event_type: str, data: Body) -> Body:
    """Let ``data`` say what the event says: a payment that succeeded is paid, and did not fail."""
    happened = event_type.split(".", 1)[1]
    news = {name: value for name, value in _NEWS.get(event_type, _QUIET).items() if name in data}
    if "status" in data and event_type not in _NEWS:
        words = [word for word in _STATUSES.get(happened, (happened,)) if word in _words_of(event_type)]
        news |= {"status": words[0]} if words else {}
    return {**data, **news}


def _words_of(event_type: str) -> list[JsonValue]:
    """The words that ``status`` may have in the payload of ``event_type``, in whichever shape."""
    shapes = _shapes()
    unpinned, pinned = shapes.events[event_type]
    found: list[JsonValue] = []
    for models, model in ((shapes.unpinned, unpinned), (shapes.pinned, pinned)):
        if model is not None and "status" in models[model]:
            found += models[model]["status"][1]
    return found


class _Shapes(NamedTuple):
    """What Whop sends: the class of each event's payload in both shapes, and the fields of the classes."""

    events: dict[str, tuple[str | None, str | None]]
    unpinned: dict[str, dict[str, tuple[str, list[JsonValue]]]]
    pinned: dict[str, dict[str, tuple[str, list[JsonValue]]]]


@cache
def _shapes() -> _Shapes:
    read = json.loads(files("flask_whop.events").joinpath("shapes.json").read_text(encoding="utf-8"))
    for shape in ("unpinned", "pinned"):
        for fields in read[shape].values():
            for name, (kind, *words) in fields.items():
                fields[name] = (kind, words[0] if words else [])
    return _Shapes(**read)


# What did not happen, unless the event is about it.
_QUIET: Final[Body] = dict.fromkeys(
    (
        *("canceled_at", "cancel_option", "cancellation_reason", "feedback_option", "expires_at"),
        *("decline_code", "failure_message", "dispute_alerted_at", "refunded_at", "recovery_url"),
        *("refunded_amount", "tax_refunded_amount", "next_payment_attempt", "next_payment_attempt_at"),
        *("failed_at", "failure_code", "failure_reason", "failure", "error_code", "error_message"),
        *("last_setup_error", "declined_reason", "status_reason", "unavailable_reason"),
    )
)

# What the payload of some events says of it.
_NEWS: Final[dict[str, Body]] = {
    "payment.succeeded": {**_QUIET, "status": "paid", "substatus": "succeeded", "paid_at": "2026-11-02T10:00:00.000Z"},
    "payment.failed": {
        **_QUIET,
        "status": "open",
        "substatus": "failed",
        "paid_at": None,
        "decline_code": "insufficient_funds",
        "failure_message": "The card has insufficient funds.",
    },
    "payment.requires_action": {
        **_QUIET,
        "status": "open",
        "substatus": "pending",
        "paid_at": None,
        "recovery_url": "https://whop.com/recover/example",
    },
    "membership.deactivated": {**_QUIET, "status": "canceled", "canceled_at": "2026-11-02T10:00:00.000Z"},
    "identity_profile.needs_action": {"status": "pending"},
    "transfer.created": {**_QUIET, "status": "succeeded"},
}

# The status that goes with the last word of an event.
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
    "denied": ("denied",),
    "funds_available": (),
    "succeeded": ("succeeded", "approved", "verified", "paid"),
    "trial_ending_soon": ("trialing",),
    "updated": ("active", "approved", "succeeded", "in_transit"),
}

_AMOUNT: Final = "49.00"
_DAY: Final = "2026-11-02T10:00:00.000Z"

# What ids begin with, by the word for the thing.
_PREFIXES: Final = {
    "account": "biz",
    "ad": "ad",
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
    "entry": "entry",
    "experience": "exp",
    "export": "exprt",
    "file": "file",
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
    "plan": "plan",
    "product": "prod",
    "promo_code": "promo",
    "refund": "rfnd",
    "resolution": "reso",
    "resolution_center_case": "reso",
    "setup_intent": "sint",
    "shipment": "ship",
    "transfer": "ctt",
    "user": "user",
    "verification": "verf",
    "withdrawal": "wdrl",
}

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
    """A plausible number, text, time or truth value for ``field``."""
    if kind == "bool":
        return False
    if kind == "datetime" or (kind == "str" and field.endswith(("_at", "_end", "_start"))) or field == "timestamp":
        return _DAY
    if kind in ("int", "float"):
        number = _NUMBERS.get(field, 3)
        return number if kind == "int" or field in _NUMBERS or not _is_amount(field) else float(_AMOUNT)
    return _text(field)


def _text(field: str) -> str:  # noqa: PLR0911  # a list of kinds, one a line
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
    """An id as Whop makes them; one thing has the same one wherever it stands."""
    thing = "account" if thing in ("company", "linked_companie") else thing
    return f"{_PREFIXES.get(thing, thing.split('_')[-1][:5])}_{_letters(thing)}"


def _letters(*seeds: str) -> str:
    """Fourteen letters and digits that depend on ``seeds`` alone."""
    number = int.from_bytes(sha256("/".join(seeds).encode()).digest()[:12], "big")
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    letters = []
    for _ in range(14):
        number, index = divmod(number, len(alphabet))
        letters.append(alphabet[index])
    return "".join(letters)
