"""Invoices."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from flask_whop.events.envelope import Event
from flask_whop.events.money import Money
from flask_whop.events.parts import PaymentReference
from flask_whop.events.payload import Items, Payload
from flask_whop.events.references import Address, MemberReference, OfAccount, PlanReference, ProductReference, User
from flask_whop.events.times import Timestamp


class InvoiceLineItem(Payload):
    """One line of an invoice."""

    label: str | None = None
    total: Money | None = None
    """In the currency of the invoice."""
    unit_price: Money | None = None
    """In the currency of the invoice; negative for a credit."""
    position: int | None = None
    quantity: int | None = None


class Invoice(OfAccount):
    """A bill sent to a customer."""

    status: str | None = None
    """``draft``, ``open``, ``paid``, ``past_due``, ``uncollectible``, ``void``."""
    current_plan: PlanReference | None = None
    current_plan_id: str | None = None
    mailing_address: Address | None = None
    member: MemberReference | None = None
    member_id: str | None = None
    payment: PaymentReference | None = None
    payment_id: str | None = None
    product: ProductReference | None = None
    product_id: str | None = None
    user: User | None = None
    user_id: str | None = None
    collection_method: str | None = None
    """``send_invoice``, ``charge_automatically``."""
    customer_name: str | None = None
    email_address: str | None = None
    fetch_invoice_token: str | None = Field(default=None, repr=False)
    """Lets anyone who has it see the invoice."""
    line_items: Items[InvoiceLineItem] = ()
    number: str | None = None
    """As printed on the invoice."""
    pay_online_url: str | None = None
    """Where the customer pays it."""
    charge_buyer_fee: bool | None = None
    """Whether the buyer pays the processing fee."""
    payment_processing: bool | None = None
    """Whether a payment is in progress."""
    created_at: Timestamp | None = None
    automatically_finalizes_at: Timestamp | None = None
    """When it's sent or charged automatically."""
    due_date: Timestamp | None = None
    """The payment deadline."""
    subscription_billing_anchor_at: Timestamp | None = None
    """Billing periods count from here."""
    updated_at: Timestamp | None = None


class InvoiceCreated(Event[Literal["invoice.created"], Invoice]):
    """An invoice was created."""


class InvoicePaid(Event[Literal["invoice.paid"], Invoice]):
    """An invoice was paid."""


class InvoicePastDue(Event[Literal["invoice.past_due"], Invoice]):
    """An invoice is still unpaid after its due date."""


class InvoiceVoided(Event[Literal["invoice.voided"], Invoice]):
    """An invoice was voided."""


class InvoiceMarkedUncollectible(Event[Literal["invoice.marked_uncollectible"], Invoice]):
    """An invoice was written off."""
