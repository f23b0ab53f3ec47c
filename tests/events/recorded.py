"""What the tests of recordings share: bodies full of a marker, and whether any of it is left."""

from __future__ import annotations

import json
import re

from flask_whop.events import event_class
from flask_whop.events.fields import model_in
from flask_whop.events.recordings import HARMLESS_NUMBERS, record

PIN = "2026-10-15-1"
KEY = "a key"
MARKER = "Lovelace"
NUMBER = 815181218151
DISGUISES = [
    MARKER,
    MARKER.lower(),
    f"user_{MARKER}",
    f"{MARKER.lower()}_1",
    f"{MARKER}@example.org",
    f"https://example.org/{MARKER}?a={MARKER}",
    f"2026-11-02T10:00:00.000Z {MARKER}",
    f"2026-11-02{MARKER}",
    f"usd{MARKER}",
    f"49.00 {MARKER}",
    f"\x00{MARKER}\u2028\ud800",
    f" {MARKER}\n",
    json.dumps({"name": MARKER}),
    f"+44 20 {NUMBER}",
    str(NUMBER),
    "ws_" + MARKER,
]


def recorded(body, **how):
    return record(json.dumps(body).encode(), "msg_1", KEY, **how)


def filled(value, text, number):
    """The same, with every text and number replaced."""
    if isinstance(value, dict):
        return {name: filled(item, text, number) for name, item in value.items()}
    if isinstance(value, list):
        return [filled(item, text, number) for item in value]
    if isinstance(value, str):
        return text
    return value if value is None or isinstance(value, bool) else number


def with_unknown(value, text):
    """The same, with fields that no model knows in every object."""
    if isinstance(value, list):
        return [with_unknown(item, text) for item in value]
    if not isinstance(value, dict):
        return value
    more = {"whole": {text: {text: text, "n": NUMBER}}, "list": [text, {"a": text}], "new_note": text, text: NUMBER}
    return {name: with_unknown(item, text) for name, item in value.items()} | more


def leaks(text):
    return re.search(f"{MARKER}|{NUMBER}", text, re.IGNORECASE)


def leaves(value, path=()):
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        yield path, value
    for name, item in items or ():
        yield from leaves(item, (*path, name))


def is_amount_or_count(event_type, path):
    """Whether the model says that an amount, a time in seconds or a harmless count is there."""
    model = event_class(event_type).payload_class
    for step in path:
        if isinstance(step, int):
            continue
        field = model.model_fields[step]
        kind, model = str(field.annotation), model_in(field.annotation) or model
    return "Money" in kind or "Decimal" in kind or step in HARMLESS_NUMBERS | {"amount", "usd_amount", "precision"}
