"""What payloads of nearly all families refer to; in a module of its own, so that few models are made at a start."""

from __future__ import annotations

from pydantic import JsonValue

from flask_whop.events.payload import Payload, Reference
from flask_whop.events.resource import Linked
from flask_whop.events.times import Timestamp


class Picture(Payload):
    """A picture."""

    url: str | None = None


class User(Reference):
    """A person on Whop (``user_…``)."""

    name: str | None = None
    profile_picture: Picture | None = None
    email: str | None = None
    username: str | None = None
    """The handle, without the @."""


class AccountReference(Reference):
    """The account (``biz_…``) that something belongs to."""

    title: str | None = None
    """The name that customers see."""
    logo_url: str | None = None
    route: str | None = None
    """The last part of its address on whop.com."""


class ProductReference(Reference):
    """The product (``prod_…``) that something is about."""

    title: str | None = None
    name: str | None = None
    logo_url: str | None = None
    metadata: dict[str, JsonValue] | None = None
    """Keys and values of the seller's own, given when it was made."""
    route: str | None = None
    """The last part of its address on whop.com."""


class PlanReference(Reference):
    """The plan (``plan_…``) that something was bought on."""

    name: str | None = None
    currency: str | None = None
    """ISO 4217 code in lower case."""
    description: str | None = None
    formatted_price: str | None = None
    """The price as people read it, such as ``$10 / month``."""
    internal_notes: str | None = None
    """The seller's notes, which buyers never see."""
    metadata: dict[str, JsonValue] | None = None
    """Keys and values of the seller's own, given when it was made."""


class MembershipReference(Reference):
    """The membership (``mem_…``) that something belongs to."""

    status: str | None = None
    """``trialing``, ``active``, ``past_due``, ``completed``, ``canceled``, ``expired``, ``unresolved``,
    ``drafted``, ``canceling``."""
    phone_number: str | None = None


class MemberReference(Linked):
    """The member of the account that something is about; ``id`` is missing on pinned memberships."""

    id: str | None = None
    user: User | None = None
    user_id: str | None = None
    access_level: str | None = None
    """What the member gets to see: ``no_access``, ``admin``, ``customer``."""
    phone: str | None = None
    position: int | None = None
    """Where the member stands in the order of joining."""
    last_accessed_at: Timestamp | None = None
    """When the member last opened the account's content."""


class Address(Payload):
    """A postal address."""

    name: str | None = None
    """To whom it is addressed."""
    city: str | None = None
    country: str | None = None
    """ISO 3166-1 code of two letters."""
    line1: str | None = None
    """Street and number."""
    line2: str | None = None
    """What else it takes to find the door."""
    phone: str | None = None
    postal_code: str | None = None
    state: str | None = None
    """State, province or region."""


class CustomFieldResponse(Reference):
    """What a buyer answered to a question of the seller."""

    answer: str | None = None
    question: str | None = None
