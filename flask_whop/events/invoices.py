"""Invoices."""

from __future__ import annotations

from typing import Literal

from flask_whop.events.envelope import Event
from flask_whop.events.payload import Resource

__all__ = [
    "Invoice",
    "InvoiceCreated",
    "InvoiceMarkedUncollectible",
    "InvoicePaid",
    "InvoicePastDue",
    "InvoiceVoided",
]


class Invoice(Resource):
    """A bill sent to a customer."""


class InvoiceCreated(Event[Literal["invoice.created"], Invoice]):
    """An invoice was drawn up."""


class InvoicePaid(Event[Literal["invoice.paid"], Invoice]):
    """An invoice was paid."""


class InvoicePastDue(Event[Literal["invoice.past_due"], Invoice]):
    """An invoice is unpaid after its due date."""


class InvoiceVoided(Event[Literal["invoice.voided"], Invoice]):
    """An invoice was cancelled."""


class InvoiceMarkedUncollectible(Event[Literal["invoice.marked_uncollectible"], Invoice]):
    """An invoice was written off."""
