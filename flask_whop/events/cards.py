"""Issued cards: applications, cards, and what is paid with them."""

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
    """The kind of the thing, in a word: ``card_application``."""
    status: str | None = None
    """``approved``, ``pending``, ``manual_review``, ``denied``, ``locked``, ``canceled``,
    ``needs_verification``, ``needs_information``."""
    hosted_url: str | None = None
    """Where the applicant goes on."""


class CardBilling(Payload):
    """The billing address of a card."""

    city: str | None = None
    country_code: str | None = None
    line1: str | None = None
    """Street and number."""
    line2: str | None = None
    """What else it takes to find the door."""
    postal_code: str | None = None
    region: str | None = None
    """State, province or region."""


class CardLimit(Payload):
    """How much may be spent with a card."""

    amount: Money | None = None
    """In the currency of the card."""
    frequency: str | None = None
    """``daily``, ``weekly``, ``monthly``, ``one_time``, ``per_transaction``."""


class CardSecrets(Payload):
    """What it takes to pay with a card. Never log it, never keep it; ``repr()`` leaves it out."""

    card_number: str | None = Field(default=None, repr=False)
    cvc: str | None = Field(default=None, repr=False)
    name_on_card: str | None = None
    pin: str | None = Field(default=None, repr=False)


class Card(Resource):
    """An issued card."""

    object: str | None = None
    """The kind of the thing, in a word: ``card``."""
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
    """The last digits of the number."""
    spent_last_month: int | None = None
    """In cents, over the last 30 days."""
    created_at: Timestamp | None = None
    canceled_at: Timestamp | None = None


class CardTransaction(Resource):
    """One payment made with an issued card."""

    status: str | None = None
    """``pending``, ``completed``, ``reversed``, ``declined``."""
    currency: str | None = None
    """Of ``local_amount``, as an ISO 4217 code."""
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
    """ISO 18245 code of four digits."""
    merchant_icon_url: str | None = None
    merchant_name: str | None = None
    transaction_type: str | None = None
    """``spend``."""
    international: bool | None = None
    """Whether the merchant is abroad."""
    created_at: Timestamp | None = None
    posted_at: Timestamp | None = None
    """When it settled."""


class CardApplicationCreated(Event[Literal["card_application.created"], CardApplication]):
    """Somebody applied for a card."""


class CardApplicationUpdated(Event[Literal["card_application.updated"], CardApplication]):
    """A card application moved on."""


class CardApplicationApproved(Event[Literal["card_application.approved"], CardApplication]):
    """A card application was granted."""


class CardApplicationDenied(Event[Literal["card_application.denied"], CardApplication]):
    """A card application was turned down."""


class CardCreated(Event[Literal["card.created"], Card]):
    """A card was issued."""


class CardUpdated(Event[Literal["card.updated"], Card]):
    """Something about a card changed."""


class CardFrozen(Event[Literal["card.frozen"], Card]):
    """A card was frozen and pays for nothing until it is thawed."""


class CardCanceled(Event[Literal["card.canceled"], Card]):
    """A card was cancelled for good."""


class CardTransactionCreated(Event[Literal["card_transaction.created"], CardTransaction]):
    """A merchant asked to charge a card."""


class CardTransactionUpdated(Event[Literal["card_transaction.updated"], CardTransaction]):
    """A card transaction changed."""


class CardTransactionCompleted(Event[Literal["card_transaction.completed"], CardTransaction]):
    """A card transaction settled."""


class CardTransactionDeclined(Event[Literal["card_transaction.declined"], CardTransaction]):
    """A card transaction was refused."""


class CardTransactionReversed(Event[Literal["card_transaction.reversed"], CardTransaction]):
    """A card transaction was undone."""
