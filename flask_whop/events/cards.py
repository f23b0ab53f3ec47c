"""Issued cards: applications, cards, and what is paid with them."""

from __future__ import annotations

from typing import Literal

from flask_whop.events.envelope import Event
from flask_whop.events.payload import Resource

__all__ = [
    "Card",
    "CardApplication",
    "CardApplicationApproved",
    "CardApplicationCreated",
    "CardApplicationDenied",
    "CardApplicationUpdated",
    "CardCanceled",
    "CardCreated",
    "CardFrozen",
    "CardTransaction",
    "CardTransactionCompleted",
    "CardTransactionCreated",
    "CardTransactionDeclined",
    "CardTransactionReversed",
    "CardTransactionUpdated",
    "CardUpdated",
]


class CardApplication(Resource):
    """An application for a card."""


class Card(Resource):
    """An issued card."""


class CardTransaction(Resource):
    """One payment made with an issued card."""


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
