"""Waitlist entries."""

from __future__ import annotations

from typing import Literal

from flask_whop.events.envelope import Event
from flask_whop.events.payload import Items
from flask_whop.events.references import CustomFieldResponse, PlanReference, ProductReference, User
from flask_whop.events.resource import Resource
from flask_whop.events.times import Timestamp


class Entry(Resource):
    """A person's place on a waitlist."""

    status: str | None = None
    """``drafted``, ``pending``, ``approved``, ``denied``, ``any``."""
    plan: PlanReference | None = None
    plan_id: str | None = None
    product: ProductReference | None = None
    product_id: str | None = None
    user: User | None = None
    user_id: str | None = None
    custom_field_responses: Items[CustomFieldResponse] = ()
    created_at: Timestamp | None = None


class EntryCreated(Event[Literal["entry.created"], Entry]):
    """Somebody joined a waitlist."""


class EntryApproved(Event[Literal["entry.approved"], Entry]):
    """An entry was approved."""


class EntryDenied(Event[Literal["entry.denied"], Entry]):
    """An entry was denied."""


class EntryDeleted(Event[Literal["entry.deleted"], Entry]):
    """An entry was removed from the waitlist."""
