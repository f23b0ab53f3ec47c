"""Keeping up with Whop: what the installed whop-sdk declares, ours knows.

A newer release of it that knows more fails here, and the message says what to add where.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest
import whop_sdk
from pydantic import BaseModel
from whop_sdk.types.webhook_event import WebhookEvent

from flask_whop.events import EVENT_TYPES, event_class

ROOT = Path(whop_sdk.__file__).parent
PAYLOAD_MODULES = [
    ".".join(file.relative_to(ROOT.parent).with_suffix("").parts) for file in sorted(ROOT.rglob("post_*_payload.py"))
]


def leaves(annotation):
    """Everything that a nest of unions, lists and mappings is made of."""
    inner = get_args(annotation)
    return [leaf for one in inner for leaf in leaves(one)] if inner else [annotation]


def models(annotation):
    return [leaf for leaf in leaves(annotation) if isinstance(leaf, type) and issubclass(leaf, BaseModel)]


@cache
def payload_of(module):
    """The event type that a module's payload class is of, and the class of its data."""
    [payload] = [
        value
        for value in vars(import_module(module)).values()
        if isinstance(value, type) and value.__module__ == module and issubclass(value, BaseModel)
    ]
    texts = [leaf for leaf in leaves(payload.model_fields["type"].annotation) if isinstance(leaf, str)]
    return texts[0], models(payload.model_fields["data"].annotation)


def missing(theirs, ours, seen=()):
    """The fields of Whop's model that no model of ours in its place declares, and where."""
    for name, field in theirs.model_fields.items():
        alias = field.alias or name
        homes = [model for model in ours if alias in model.model_fields]
        if not homes:
            yield f"{' / '.join(sorted({model.__name__ for model in ours}))}.{alias}: {field.annotation}"
            continue
        below = [model for home in homes for model in models(home.model_fields[alias].annotation)]
        for inner in models(field.annotation):
            if inner not in seen:
                yield from missing(inner, below, (*seen, inner))


def test_every_event_that_the_sdk_names_has_a_class_and_a_signal():
    named = {leaf for leaf in leaves(WebhookEvent) if isinstance(leaf, str)}
    assert len(named) >= 90
    absent = sorted(named - set(EVENT_TYPES))
    assert not absent, "\n".join(
        ("add these to a family of flask_whop/events and to flask_whop/signals/__init__.py:", *absent)
    )


def test_the_sdk_still_declares_its_payloads_where_this_looks():
    assert len(PAYLOAD_MODULES) >= 80
    assert {payload_of(module)[0] for module in PAYLOAD_MODULES} <= set(EVENT_TYPES)


@pytest.mark.parametrize("module", PAYLOAD_MODULES, ids=lambda module: re.sub(r".*post_|_payload", "", module))
def test_every_field_that_the_sdk_declares_for_an_event_is_on_our_payload(module):
    event_type, data = payload_of(module)
    ours = event_class(event_type).payload_class
    absent = [line for model in data for line in missing(model, [ours])]
    assert not absent, "\n".join((f"add these to {ours.__module__}:", *absent))
