"""Disputes: chargebacks, alerts about them, and cases in the resolution center."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from flask_whop.events.envelope import Event
from flask_whop.events.money import Money
from flask_whop.events.parts import Attachment, Buyer, DisputeReference, File, LineItem, PaymentReference
from flask_whop.events.payload import Items, Payload, Reference
from flask_whop.events.references import MemberReference, OfAccount, PlanReference, ProductReference, User
from flask_whop.events.resource import Linked, Resource
from flask_whop.events.times import Timestamp


class EvidenceDocument(File):
    """A document submitted as evidence in a dispute."""

    document_type: str | None = None
    """What it proves: ``return_policy``, ``shipping_policy``, ``cancellation_policy``, ``terms_of_service``,
    ``physical_fulfillment``, ``customer_order_history`` and others."""


class EvidenceFields(Linked):
    """The parts of a seller's evidence in a dispute."""

    cancellation_policy_attachment: Attachment | None = None
    cancellation_policy_attachment_id: str | None = None
    customer_communication_attachment: Attachment | None = None
    customer_communication_attachment_id: str | None = None
    refund_policy_attachment: Attachment | None = None
    refund_policy_attachment_id: str | None = None
    uncategorized_attachment: Attachment | None = None
    uncategorized_attachment_id: str | None = None
    access_activity_log: str | None = None
    """When and how the customer used the product."""
    billing_address: str | None = None
    cancellation_policy_disclosure: str | None = None
    """How the policy was disclosed to the customer."""
    customer_email_address: str | None = None
    customer_name: str | None = None
    notes: str | None = None
    product_description: str | None = None
    """The product, in the seller's words."""
    refund_policy_disclosure: str | None = None
    """How the policy was disclosed to the customer."""
    refund_refusal_explanation: str | None = None
    """Why the seller refused a refund."""
    service_date: str | None = None
    """The date of the service, as text."""


class Evidence(EvidenceFields):
    """The seller's evidence in a dispute."""

    documents: Items[EvidenceDocument] = ()


class IssuerComment(Payload):
    """A comment from the buyer's bank."""

    text: str | None = None
    received_at: Timestamp | None = None


class Dispute(EvidenceFields, OfAccount):
    """A chargeback or inquiry from the buyer's bank."""

    RENAMES: ClassVar[Mapping[str, str]] = {"needs_response_by": "evidence_due_at", "editable": "evidence_editable"}

    status: str | None = None
    """``needs_response``, ``warning_needs_response``, ``under_review``, ``warning_under_review``, ``won``,
    ``lost`` and others."""
    reason: str | None = None
    """``fraudulent``, ``unrecognized``, ``declined_authorization``, ``product_not_received``,
    ``product_unacceptable``, ``subscription_canceled`` and others."""
    currency: str | None = None
    """Lowercase ISO 4217 code."""
    amount: Money | None = None
    """The amount the customer wants back."""
    fee: Money | None = None
    buyer: Buyer | None = None
    evidence: Evidence | None = None
    payment: PaymentReference | None = None
    payment_id: str | None = None
    plan: PlanReference | None = None
    plan_id: str | None = None
    product: ProductReference | None = None
    product_id: str | None = None
    evidence_locked_reason: str | None = None
    """Why the evidence can't be changed: ``submitted``, ``response_window_closed``, ``not_contestable``."""
    issuer_comments: Items[IssuerComment] = ()
    line_items: Items[LineItem] = ()
    reason_code: str | None = None
    """The card network's code."""
    acceptable: bool | None = None
    """Whether the seller can accept the dispute."""
    editable: bool | None = None
    """Older name of ``evidence_editable``."""
    evidence_editable: bool | None = None
    """Whether evidence can still be changed."""
    inquiry: bool | None = None
    """Whether it's only an inquiry so far, which moves no money."""
    visa_rdr: bool | None = None
    """Whether Visa settled it automatically, by Rapid Dispute Resolution."""
    created_at: Timestamp | None = None
    evidence_due_at: Timestamp | None = None
    """The deadline for evidence."""
    evidence_submitted_at: Timestamp | None = None
    needs_response_by: Timestamp | None = None
    """Older name of ``evidence_due_at``."""
    updated_at: Timestamp | None = None


class DisputeAlert(Resource):
    """A bank's warning of a coming dispute."""

    RENAMES: ClassVar[Mapping[str, str]] = {
        "alert_type": "type",
        "charge_for_alert": "fee_charged",
        "transaction_date": "transaction_at",
    }

    type: str | None = None
    """Without a version pin ``dispute``, ``dispute_rdr`` or ``fraud``; with one
    ``early_fraud_warning``, ``dispute_alert`` and ``rapid_dispute_resolution``."""
    currency: str | None = None
    """Lowercase ISO 4217 code."""
    amount: Money | None = None
    fee: Money | None = None
    account_id: str | None = None
    dispute: DisputeReference | None = None
    dispute_id: str | None = None
    payment: PaymentReference | None = None
    payment_id: str | None = None
    product_id: str | None = None
    alert_type: str | None = None
    """Older name of ``type``."""
    card_brand: str | None = None
    """The card network."""
    issuer: str | None = None
    """The bank."""
    auto_refunded: bool | None = None
    charge_for_alert: bool | None = None
    """Older name of ``fee_charged``."""
    fee_charged: bool | None = None
    """Whether the account pays for the alert."""
    created_at: Timestamp | None = None
    reported_at: Timestamp | None = None
    """When the bank reported it; ``created_at`` is when Whop learned of it."""
    transaction_at: Timestamp | None = None
    """When the disputed payment was made."""
    transaction_date: Timestamp | None = None
    """Older name of ``transaction_at``."""
    updated_at: Timestamp | None = None


class ResolutionEvent(Reference):
    """An action or message in a case."""

    action: str | None = None
    """``created``, ``responded``, ``accepted``, ``denied``, ``appealed``, ``withdrew`` and others."""
    details: str | None = None
    """The message."""
    reporter_type: str | None = None
    """Who did it: ``merchant``, ``customer``, ``platform``, ``system``."""
    created_at: Timestamp | None = None


class ResolutionCenterCase(OfAccount):
    """A buyer's complaint, mediated by Whop."""

    RENAMES: ClassVar[Mapping[str, str]] = {"issue": "reason", "due_date": "response_due_at"}

    status: str | None = None
    """``awaiting_merchant``, ``awaiting_customer``, ``under_review``, ``closed``,
    ``merchant_response_needed``, ``customer_response_needed`` and others."""
    reason: str | None = None
    """The complaint. The words differ by shape: ``fraudulent``, ``product_not_received``,
    ``not_as_described``, ``product_unacceptable``, ``subscription_canceled``."""
    outcome: str | None = None
    """Who prevailed: ``customer_won``, ``merchant_won``, ``withdrawn``."""
    currency: str | None = None
    """Lowercase ISO 4217 code."""
    amount: Money | None = None
    buyer: Buyer | None = None
    member: MemberReference | None = None
    member_id: str | None = None
    payment: PaymentReference | None = None
    payment_id: str | None = None
    plan_id: str | None = None
    product_id: str | None = None
    user: User | None = None
    user_id: str | None = None
    available_actions: Items[str] = ()
    """Actions possible now: ``accept``, ``deny``, ``request_info``, ``reply``, ``appeal``, ``withdraw``."""
    customer_response_actions: Items[str] = ()
    """The customer's options now: ``respond``, ``appeal``, ``withdraw``."""
    issue: str | None = None
    """Older name of ``reason``."""
    line_items: Items[LineItem] = ()
    merchant_response_actions: Items[str] = ()
    """The seller's options now: ``accept``, ``deny``, ``request_more_info``, ``appeal``, ``respond``."""
    platform_response_actions: Items[str] = ()
    """Whop's options now: ``request_buyer_info``, ``request_merchant_info``, ``merchant_wins``, ``merchant_refund``."""
    refund: str | None = None
    """Who paid the money back: ``none``, ``merchant``, ``platform``."""
    resolution_events: Items[ResolutionEvent] = ()
    customer_appealed: bool | None = None
    escalated: bool | None = None
    """Whether Whop has stepped in."""
    merchant_appealed: bool | None = None
    created_at: Timestamp | None = None
    due_date: Timestamp | None = None
    """Older name of ``response_due_at``."""
    response_due_at: Timestamp | None = None
    """The deadline for an answer."""
    updated_at: Timestamp | None = None


class DisputeCreated(Event[Literal["dispute.created"], Dispute]):
    """A buyer's bank opened a chargeback or an inquiry."""


class DisputeUpdated(Event[Literal["dispute.updated"], Dispute]):
    """A dispute's status or evidence changed."""


class DisputeAlertCreated(Event[Literal["dispute_alert.created"], DisputeAlert]):
    """A bank warned of a dispute before opening it; a refund now may prevent it."""


class ResolutionCenterCaseCreated(Event[Literal["resolution_center_case.created"], ResolutionCenterCase]):
    """A buyer opened a case."""


class ResolutionCenterCaseUpdated(Event[Literal["resolution_center_case.updated"], ResolutionCenterCase]):
    """A case got a message, or it's now the other side's turn."""


class ResolutionCenterCaseDecided(Event[Literal["resolution_center_case.decided"], ResolutionCenterCase]):
    """A case was decided."""


class ResolutionCreated(Event[Literal["resolution.created"], ResolutionCenterCase]):
    """The old format's name for ``resolution_center_case.created``."""


class ResolutionUpdated(Event[Literal["resolution.updated"], ResolutionCenterCase]):
    """The old format's name for ``resolution_center_case.updated``."""


class ResolutionDecided(Event[Literal["resolution.decided"], ResolutionCenterCase]):
    """The old format's name for ``resolution_center_case.decided``."""
