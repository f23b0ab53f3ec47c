"""Issued cards: applications, cards, and card transactions."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from flask_whop.events.envelope import Event
from flask_whop.events.money import Money
from flask_whop.events.payload import Payload
from flask_whop.events.resource import Resource
from flask_whop.events.times import Timestamp


class CardApplication(Resource):
    """An application for a card."""

    object: str | None = None
    """The kind of object: ``card_application``."""
    status: str | None = None
    """``approved``, ``pending``, ``manual_review``, ``denied``, ``locked``, ``canceled``,
    ``needs_verification``, ``needs_information``."""
    hosted_url: str | None = None
    """Where the applicant continues."""


class CardBilling(Payload):
    """The billing address of a card."""

    city: str | None = None
    country_code: str | None = None
    line1: str | None = None
    """Street and number."""
    line2: str | None = None
    """Apartment, floor, or anything else that helps to find the door."""
    postal_code: str | None = None
    region: str | None = None
    """State, province or region."""


class CardLimit(Payload):
    """A card's spending limit."""

    amount: Money | None = None
    """In the card's currency."""
    frequency: str | None = None
    """``daily``, ``weekly``, ``monthly``, ``one_time``, ``per_transaction``."""


class CardSecrets(Payload):
    """The data needed to pay with a card. Never log or store it; ``repr()`` omits it."""

    card_number: str | None = Field(default=None, repr=False)
    cvc: str | None = Field(default=None, repr=False)
    name_on_card: str | None = None
    pin: str | None = Field(default=None, repr=False)


class Card(Resource):
    """An issued card."""

    object: str | None = None
    """The kind of object: ``card``."""
    name: str | None = None
    type: str | None = None
    """``virtual``, ``physical``."""
    status: str | None = None
    """``active``, ``frozen``, ``canceled``, ``invited``, ``denied``."""
    billing: CardBilling | None = None
    limit: CardLimit | None = None
    secrets: CardSecrets | None = None
    user_id: str | None = None
    expiration_month: str | None = None
    expiration_year: str | None = None
    last4: str | None = None
    """The last four digits of the number."""
    spent_last_month: int | None = None
    """In cents, over the last 30 days."""
    created_at: Timestamp | None = None
    canceled_at: Timestamp | None = None


class CardTransaction(Resource):
    """A payment made with an issued card."""

    status: str | None = None
    """``pending``, ``completed``, ``reversed``, ``declined``."""
    currency: str | None = None
    """The ISO 4217 code of ``local_amount``."""
    cashback_usd_amount: Money | None = None
    local_amount: Money | None = None
    """In the merchant's ``currency``."""
    usd_amount: Money | None = None
    card_id: str | None = None
    cardholder_id: str | None = None
    """The person who holds the card (``user_…``)."""
    declined_reason: str | None = None
    merchant_category: str | None = None
    merchant_category_code: str | None = None
    """Four-digit ISO 18245 code."""
    merchant_icon_url: str | None = None
    merchant_name: str | None = None
    transaction_type: str | None = None
    """``spend``."""
    international: bool | None = None
    """Whether the merchant is abroad."""
    created_at: Timestamp | None = None
    posted_at: Timestamp | None = None
    """The settlement time."""


class CardApplicationCreated(Event[Literal["card_application.created"], CardApplication]):
    """Somebody applied for a card."""


class CardApplicationUpdated(Event[Literal["card_application.updated"], CardApplication]):
    """A card application changed."""


class CardApplicationApproved(Event[Literal["card_application.approved"], CardApplication]):
    """A card application was approved."""


class CardApplicationDenied(Event[Literal["card_application.denied"], CardApplication]):
    """A card application was denied."""


class CardCreated(Event[Literal["card.created"], Card]):
    """A card was issued."""


class CardUpdated(Event[Literal["card.updated"], Card]):
    """Something about a card changed."""


class CardFrozen(Event[Literal["card.frozen"], Card]):
    """A card was frozen; it can't be used until it's unfrozen."""


class CardCanceled(Event[Literal["card.canceled"], Card]):
    """A card was permanently canceled."""


class CardTransactionCreated(Event[Literal["card_transaction.created"], CardTransaction]):
    """A merchant requested a charge to a card."""


class CardTransactionUpdated(Event[Literal["card_transaction.updated"], CardTransaction]):
    """A card transaction changed."""


class CardTransactionCompleted(Event[Literal["card_transaction.completed"], CardTransaction]):
    """A card transaction settled."""


class CardTransactionDeclined(Event[Literal["card_transaction.declined"], CardTransaction]):
    """A card transaction was declined."""


class CardTransactionReversed(Event[Literal["card_transaction.reversed"], CardTransaction]):
    """A card transaction was reversed."""
