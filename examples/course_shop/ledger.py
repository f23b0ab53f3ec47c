"""The books: what was paid, and what was given back or taken, each line as Whop's latest word on it."""

from __future__ import annotations

from datetime import datetime, timezone

from flask import Flask
from sqlalchemy import delete

from examples.course_shop.models import Entry, Person, db, known, save
from examples.course_shop.webhooks import whop
from flask_whop import GiveUp
from flask_whop.errors import CurrencyMismatch
from flask_whop.events import (
    Dispute,
    DisputeCreated,
    DisputeUpdated,
    Money,
    Payment,
    PaymentSucceeded,
    Refund,
    RefundCreated,
    RefundUpdated,
)


@whop.on(PaymentSucceeded)
def book_payment(app: Flask, event: PaymentSucceeded) -> None:
    """Book what was paid, and the part of it that Whop keeps."""
    payment = event.data
    paid, share = stated(payment.total), stated(payment.amount_after_fees)
    try:
        fees = paid - share
    except CurrencyMismatch as error:
        raise GiveUp(f"{payment.id} is paid out in another currency; book it by hand. {error}") from error
    if payment.user_id:
        email = payment.customer_email or (payment.user and payment.user.email)
        save(Person, {"id": payment.user_id, **known(name=payment.user and payment.user.name, email=email)})
    book(payment, "payment", paid, payment.id, payment.product_id)
    book(payment, "fees", -fees, payment.id, payment.product_id)


# A refund may come before its payment. The books don't mind: neither line needs the other.
@whop.on(RefundCreated, RefundUpdated, skip_stale=True)
def book_refund(app: Flask, event: RefundCreated | RefundUpdated) -> None:
    """Book a refund when the money has gone back, and strike it out if it hasn't after all."""
    refund = event.data
    given = stated(refund.amount) if refund.status == "succeeded" else Money(0)
    book(refund, "refund", -given, refund.payment_id, refund.payment.product_id if refund.payment else None)


@whop.on(DisputeCreated, DisputeUpdated, skip_stale=True)
def book_dispute(app: Flask, event: DisputeCreated | DisputeUpdated) -> None:
    """Book what a bank has taken back, until the dispute is won, and the fee for it."""
    dispute = event.data
    match "inquiry" if dispute.inquiry else dispute.status:
        case "needs_response" | "under_review" | "lost":
            taken = stated(dispute.amount)
        case "won" | "prevented" | "inquiry" | "warning_needs_response" | "warning_under_review" | "warning_closed":
            taken = Money(0)
        case status:
            raise GiveUp(f"{dispute.id} is {status!r}, which may or may not have taken money; book it by hand.")
    book(dispute, "dispute", -taken, dispute.payment_id, dispute.product_id)
    book(dispute, "fees", -(dispute.fee or Money(0)), dispute.payment_id, dispute.product_id)


def stated(money: Money | None) -> Money:
    """Return an amount that the books can't do without."""
    if not isinstance(money, Money) or money.currency is None:
        raise GiveUp("Whop sent no amount, or no currency; the webhook's app may not read it.")
    return money


def book(
    document: Payment | Refund | Dispute, kind: str, money: Money, payment_id: str | None, course_id: str | None
) -> None:
    """Write the line of a document, over what it said before."""
    if not money:
        db.session.execute(delete(Entry).where(Entry.document_id == document.id, Entry.kind == kind))
        return
    line = {
        "document_id": document.id,
        "kind": kind,
        "payment_id": payment_id,
        "course_id": course_id,
        "amount": money.amount,
        "currency": money.currency,
        "booked_at": document.created_at or datetime.now(timezone.utc),
    }
    save(Entry, line)
