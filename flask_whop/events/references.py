"""References that nearly all payloads share, apart from the larger parts so an app starts with few models."""

from __future__ import annotations

from pydantic import JsonValue

from flask_whop.events.payload import Payload, Reference
from flask_whop.events.resource import Linked, Resource
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
    """The account (``biz_…``) something belongs to."""

    title: str | None = None
    """The name customers see."""
    logo_url: str | None = None
    route: str | None = None
    """The last part of its address on whop.com."""


class OfAccount(Resource):
    """A resource that belongs to an account; older formats call the account a company."""

    account: AccountReference | None = None
    account_id: str | None = None
    company: AccountReference | None = None
    """Older name of ``account``."""
    company_id: str | None = None
    """Older name of ``account_id``."""


class ProductReference(Reference):
    """The product (``prod_…``) something is about."""

    title: str | None = None
    name: str | None = None
    logo_url: str | None = None
    metadata: dict[str, JsonValue] | None = None
    """The seller's own keys and values, set at creation."""
    route: str | None = None
    """The last part of its address on whop.com."""


class PlanReference(Reference):
    """The plan (``plan_…``) something was bought on."""

    name: str | None = None
    currency: str | None = None
    """Lowercase ISO 4217 code."""
    description: str | None = None
    formatted_price: str | None = None
    """The price for display, such as ``$10 / month``."""
    internal_notes: str | None = None
    """The seller's notes; buyers never see them."""
    metadata: dict[str, JsonValue] | None = None
    """The seller's own keys and values, set at creation."""


class MembershipReference(Reference):
    """The membership (``mem_…``) something belongs to."""

    status: str | None = None
    """``trialing``, ``active``, ``past_due``, ``completed``, ``canceled``, ``expired``, ``unresolved``,
    ``drafted``, ``canceling``."""
    phone_number: str | None = None


class MemberReference(Linked):
    """The member something is about; ``id`` is missing on pinned memberships."""

    id: str | None = None
    user: User | None = None
    user_id: str | None = None
    access_level: str | None = None
    """What the member can see: ``no_access``, ``admin``, ``customer``."""
    phone: str | None = None
    position: int | None = None
    """The member's position in the order of joining."""
    last_accessed_at: Timestamp | None = None
    """When the member last opened the account's content."""


class Address(Payload):
    """A postal address."""

    name: str | None = None
    """The recipient."""
    city: str | None = None
    country: str | None = None
    """Two-letter ISO 3166-1 code."""
    line1: str | None = None
    """Street and number."""
    line2: str | None = None
    """Apartment, floor, or anything else that helps to find the door."""
    phone: str | None = None
    postal_code: str | None = None
    state: str | None = None
    """State, province or region."""


class CustomFieldResponse(Reference):
    """A buyer's answer to a seller's question."""

    answer: str | None = None
    question: str | None = None
