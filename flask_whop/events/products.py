"""Products, and the plans they're sold on."""

from __future__ import annotations

from typing import Literal

from pydantic import JsonValue

from flask_whop.events.envelope import Event
from flask_whop.events.money import Money
from flask_whop.events.parts import Attachment
from flask_whop.events.payload import Items, Payload, Reference
from flask_whop.events.references import AccountReference
from flask_whop.events.resource import Resource
from flask_whop.events.times import Timestamp


class PlanCustomField(Reference):
    """A question buyers answer at checkout."""

    name: str | None = None
    field_type: str | None = None
    """``text``."""
    order: int | None = None
    placeholder: str | None = None
    required: bool | None = None


class PaymentMethodConfiguration(Payload):
    """Which payment methods a checkout offers."""

    disabled: Items[str] = ()
    enabled: Items[str] = ()
    include_platform_defaults: bool | None = None


class Plan(Resource):
    """The price and terms of a product (``plan_…``); Whop's newer name is variant."""

    title: str | None = None
    currency: str | None = None
    """Lowercase ISO 4217 code."""
    initial_price: Money | None = None
    """Charged once, at the start."""
    initial_price_due: Money | None = None
    """The price at checkout, before tax and promo codes."""
    renewal_price: Money | None = None
    """Charged each period."""
    strike_through_initial_price: Money | None = None
    """The former price, shown struck through."""
    strike_through_renewal_price: Money | None = None
    """The former price, shown struck through."""
    account: AccountReference | None = None
    account_id: str | None = None
    effective_payment_method_configuration: PaymentMethodConfiguration | None = None
    product_id: str | None = None
    attributes: dict[str, str] | None = None
    """What distinguishes it from the product's other plans, such as ``{"size": "L"}``."""
    billing_period: int | None = None
    """In days."""
    cancel_discount_intervals: int | None = None
    """The number of periods the discount applies; 0 means forever."""
    cancel_discount_percentage: float | None = None
    """20 is 20%."""
    checkout_styling: dict[str, JsonValue] | None = None
    custom_fields: Items[PlanCustomField] = ()
    description: str | None = None
    expiration_days: int | None = None
    """The number of days until access ends."""
    formatted_price: str | None = None
    """The price for display, such as ``$10 / month``."""
    image: dict[str, JsonValue] | None = None
    internal_notes: str | None = None
    """The seller's notes; buyers never see them."""
    invoice: dict[str, JsonValue] | None = None
    member_count: int | None = None
    metadata: dict[str, JsonValue] | None = None
    """The seller's own keys and values, set at creation."""
    payment_method_configuration: dict[str, JsonValue] | None = None
    plan_type: str | None = None
    """``renewal``, ``one_time``."""
    product: dict[str, JsonValue] | None = None
    purchase_url: str | None = None
    release_method: str | None = None
    """``buy_now``, ``waitlist``."""
    sku: str | None = None
    """The seller's stock number."""
    split_pay_required_payments: int | None = None
    """The number of installments."""
    stock: int | None = None
    """The number that can be sold, if limited."""
    tax_type: str | None = None
    """Whether prices include the tax: ``inclusive``, ``exclusive``, ``unspecified``."""
    three_ds_level: str | None = None
    """When cards need 3D Secure: ``mandate_challenge``, ``mandate_if_required``, ``frictionless_if_required``."""
    trial_period_days: int | None = None
    visibility: str | None = None
    """``visible``, ``hidden``, ``archived``, ``quick_link``."""
    adaptive_pricing_enabled: bool | None = None
    collect_tax: bool | None = None
    deletable: bool | None = None
    offer_cancel_discount: bool | None = None
    unlimited_stock: bool | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None


class Product(Resource):
    """Something for sale (``prod_…``)."""

    title: str | None = None
    account_id: str | None = None
    default_plan: Plan | None = None
    default_plan_id: str | None = None
    owner_user_id: str | None = None
    account: dict[str, JsonValue] | None = None
    average_review_rating: float | None = None
    """1 to 5; 0 without reviews."""
    custom_cta: str | None = None
    """The label of the button: ``get_access``, ``join``, ``order_now``, ``shop_now``, ``call_now``,
    ``donate_now`` and others."""
    custom_cta_url: str | None = None
    custom_statement_descriptor: str | None = None
    """The text on the buyer's statement."""
    description: str | None = None
    external_identifier: str | None = None
    """The seller's own id for it."""
    gallery_images: Items[Attachment] = ()
    global_affiliate_percentage: float | None = None
    """20 is 20%."""
    global_affiliate_status: str | None = None
    """``enabled``, ``disabled``."""
    headline: str | None = None
    labels: Items[str] = ()
    marketplace_status: str | None = None
    """``not_available``, ``pending_review``, ``live_marketplace``."""
    member_affiliate_percentage: float | None = None
    """20 is 20%."""
    member_affiliate_status: str | None = None
    """``enabled``, ``disabled``."""
    member_count: int | None = None
    metadata: dict[str, JsonValue] | None = None
    """The seller's own keys and values, set at creation."""
    owner_user: dict[str, JsonValue] | None = None
    product_tax_code: dict[str, JsonValue] | None = None
    published_reviews_count: int | None = None
    route: str | None = None
    """The last part of its address on whop.com."""
    variant_attributes: dict[str, JsonValue] | None = None
    """The attributes its plans differ in, and their values."""
    variants: Items[Plan] = ()
    visibility: str | None = None
    verified: bool | None = None
    """Whether Whop has verified it."""
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None


class ProductCreated(Event[Literal["product.created"], Product]):
    """A product was created."""


class ProductUpdated(Event[Literal["product.updated"], Product]):
    """A product was edited; ``previous_attributes`` has the old values."""


class ProductDeleted(Event[Literal["product.deleted"], Product]):
    """A product was deleted."""


class ProductPublished(Event[Literal["product.published"], Product]):
    """Buyers can now see a product."""


class ProductUnpublished(Event[Literal["product.unpublished"], Product]):
    """Buyers can no longer see a product."""


class PlanCreated(Event[Literal["plan.created"], Plan]):
    """A plan was created."""


class PlanUpdated(Event[Literal["plan.updated"], Plan]):
    """A plan was edited; ``previous_attributes`` has the old values."""


class PlanDeleted(Event[Literal["plan.deleted"], Plan]):
    """A plan was deleted."""
