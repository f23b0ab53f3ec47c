"""Parts shared by the payloads of several families."""

from __future__ import annotations

from pydantic import JsonValue

from flask_whop.events.money import Money
from flask_whop.events.payload import Items, Payload, Reference
from flask_whop.events.references import (
    Address,
    MemberReference,
    MembershipReference,
    PlanReference,
    ProductReference,
    User,
)
from flask_whop.events.resource import Linked, Resource
from flask_whop.events.times import Timestamp


class Attachment(Reference):
    """An uploaded file."""

    platform: bool | None = None
    """Whether it's Whop's own file, because the seller has none."""
    content_type: str | None = None
    """The MIME type."""
    filename: str | None = None
    url: str | None = None


class FilePart(Payload):
    """The upload URL for one part of a large file."""

    part_number: int | None = None
    """Counted from 1."""
    url: str | None = None


class File(Reference):
    """A file at Whop (``file_…``)."""

    object: str | None = None
    """The kind of object."""
    multipart_upload_id: str | None = None
    blurhash: str | None = None
    """A blurred thumbnail, encoded as BlurHash."""
    content_type: str | None = None
    """The MIME type."""
    duration_seconds: float | None = None
    filename: str | None = None
    height: int | None = None
    """In pixels."""
    multipart_chunk_size: int | None = None
    """In bytes."""
    multipart_upload_urls: Items[FilePart] = ()
    size: int | None = None
    """In bytes."""
    upload_headers: dict[str, JsonValue] | None = None
    """Send these with the upload."""
    upload_status: str | None = None
    """``pending``, ``processing``, ``ready``, ``failed``."""
    upload_url: str | None = None
    url: str | None = None
    visibility: str | None = None
    """``public``, ``private``."""
    waveform_url: str | None = None
    width: int | None = None
    """In pixels."""
    removed_by_moderation: bool | None = None
    """If true, ``url`` leads to a replacement."""
    created_at: Timestamp | None = None


class CardDetails(Payload):
    """The details of a payment card."""

    brand: str | None = None
    """The card network, such as ``visa``."""
    exp_month: int | None = None
    """1 to 12."""
    exp_year: int | None = None
    """Four digits."""
    issuer_identification_number: str | None = None
    """The first digits of the number, which identify the issuing bank (BIN)."""
    last4: str | None = None
    """The last four digits of the number."""


class PaymentMethod(Reference):
    """A saved payment method (``payt_…``)."""

    card: CardDetails | None = None
    mailing_address: Address | None = None
    payment_method_type: str | None = None
    """The payment method: ``acss_debit``, ``addi``, ``affirm``, ``afterpay_clearpay``, ``alipay``, ``alipayhk``,
    ``alma``, ``amazon_pay`` and others."""
    created_at: Timestamp | None = None


class IconFiles(Payload):
    """An icon in several file formats."""

    png_1x: str | None = None
    png_2x: str | None = None
    png_4x: str | None = None
    svg: str | None = None


class IconColors(Payload):
    """An icon for dark and light backgrounds."""

    dark: IconFiles | None = None
    light: IconFiles | None = None


class PaymentIcons(Payload):
    """The icons of a payment method."""

    card: IconColors | None = None
    square: IconColors | None = None


class PaymentInstrument(Payload):
    """The payment method of a payment, for display."""

    card: CardDetails | None = None
    icons: PaymentIcons | None = None
    display_name: str | None = None
    """As the buyer knows it, such as ``Visa •••• 4242``."""
    installment_count: int | None = None
    """The number of installments."""
    payment_method_type: str | None = None
    """The payment method."""


class LineItem(Linked):
    """One line of a receipt."""

    id: str | None = None
    label: str | None = None
    subtotal: Money | None = None
    """For the whole line, before tax."""
    plan_id: str | None = None
    product_id: str | None = None
    plan_title: str | None = None
    product_title: str | None = None
    quantity: int | None = None
    sku: str | None = None
    """The seller's stock number."""


class Buyer(Payload):
    """The customer in a dispute or a case."""

    name: str | None = None
    member_id: str | None = None
    user_id: str | None = None
    email: str | None = None
    username: str | None = None
    """The handle, without the @."""


class PaymentFields(Resource):
    """The fields Whop sends about a payment wherever it appears."""

    currency: str | None = None
    """Lowercase ISO 4217 code."""
    total: Money | None = None
    subtotal: Money | None = None
    """Before tax and buyer fees."""
    tax_amount: Money | None = None
    tax_refunded_amount: Money | None = None
    usd_total: Money | None = None
    """The total in US dollars."""
    member: MemberReference | None = None
    member_id: str | None = None
    membership: MembershipReference | None = None
    membership_id: str | None = None
    payment_instrument: PaymentInstrument | None = None
    plan: PlanReference | None = None
    plan_id: str | None = None
    product: ProductReference | None = None
    product_id: str | None = None
    user: User | None = None
    user_id: str | None = None
    billing_reason: str | None = None
    """Why it was charged: ``subscription_create``, ``subscription_cycle``, ``subscription_update``,
    ``one_time``, ``manual``, ``subscription``."""
    card_brand: str | None = None
    """The card network: ``mastercard``, ``visa``, ``amex``, ``discover``, ``unionpay``, ``jcb`` and others."""
    card_last4: str | None = None
    """The last four digits of the card."""
    metadata: dict[str, JsonValue] | None = None
    """The seller's own keys and values, set at creation."""
    payment_method_type: str | None = None
    """The payment method: ``acss_debit``, ``addi``, ``affirm``, ``afterpay_clearpay``, ``alipay``, ``alipayhk``,
    ``alma``, ``amazon_pay`` and others."""
    tax_behavior: str | None = None
    """Whether prices include the tax: ``exclusive``, ``inclusive``, ``unspecified``, ``unable_to_collect``."""
    created_at: Timestamp | None = None
    dispute_alerted_at: Timestamp | None = None
    """When a bank warned that this payment will be disputed."""
    paid_at: Timestamp | None = None
    """When the money was collected; None if it hasn't been."""


class PaymentReference(PaymentFields):
    """The payment (``pay_…``) something is about."""

    object: str | None = None
    """The kind of object: ``payment``."""
    amount: Money | None = None
    payment_processor: str | None = None
    """The payment processor."""


class DisputeReference(Resource):
    """The dispute something is about."""

    status: str | None = None
    """``warning_needs_response``, ``warning_under_review``, ``warning_closed``, ``needs_response``,
    ``under_review``, ``won``, ``lost``, ``closed``, ``other``."""
    reason: str | None = None
    currency: str | None = None
    """Lowercase ISO 4217 code."""
    amount: Money | None = None
    notes: str | None = None
    editable: bool | None = None
    """Whether evidence can still be changed."""
    created_at: Timestamp | None = None
    needs_response_by: Timestamp | None = None
    """The deadline for evidence."""
