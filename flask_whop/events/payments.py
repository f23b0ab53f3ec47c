"""Payments, refunds, and saved payment methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, JsonValue

from flask_whop.events.envelope import Event
from flask_whop.events.money import Money
from flask_whop.events.parts import (
    AccountReference,
    Address,
    DisputeReference,
    LineItem,
    MemberReference,
    MembershipReference,
    PaymentInstrument,
    PaymentMethod,
    PaymentReference,
    PlanReference,
    ProductReference,
    User,
)
from flask_whop.events.payload import Items, Payload, Reference
from flask_whop.events.resource import Linked, Resource
from flask_whop.events.times import Timestamp


class ApplicationFee(Resource):
    """What an app earns on a payment."""

    currency: str | None = None
    """ISO 4217 code in lower case."""
    amount: Money | None = None
    amount_captured: Money | None = None
    amount_refunded: Money | None = None
    created_at: Timestamp | None = None


class FinancingTransaction(Linked):
    """One step of a financed payment."""

    id: str | None = None
    status: str | None = None
    """``succeeded``, ``declined``, ``error``, ``pending``, ``created``, ``expired`` and others."""
    amount: Money | None = None
    transaction_type: str | None = None
    """``purchase``, ``authorize``, ``capture``, ``refund``, ``canceled``, ``verify`` and others."""
    created_at: Timestamp | None = None


class PaymentHold(Payload):
    """Money of a payment that is held back."""

    type: str | None = None
    """``reserve``, ``bnpl``, ``sequra``, ``fraud_hold``, ``preshipment_hold``."""
    amount: Money | None = None
    percentage: float | None = None
    """Of the payment."""
    release_at: Timestamp | None = None
    """When it is let go; None if that depends on something else."""


class RuleMatch(Reference):
    """A rule of the seller that a payment met."""

    name: str | None = None
    action: str | None = None
    """``allow``, ``block``, ``review``, ``enforce_3ds``."""


class PromoCode(Reference):
    """A promo code."""

    amount_off: float | None = None
    """In percent or in the currency, by ``promo_type``."""
    base_currency: str | None = None
    code: str | None = None
    number_of_intervals: int | None = None
    """For how many months it counts."""
    promo_type: str | None = None
    """``percentage``, ``flat_amount``."""


class ResolutionReference(Reference):
    """A case in the resolution center about a payment."""

    status: str | None = None
    """``merchant_response_needed``, ``customer_response_needed``, ``merchant_info_needed``,
    ``customer_info_needed``, ``under_platform_review``, ``customer_won``, ``merchant_won``,
    ``customer_withdrew``."""
    customer_response_actions: Items[str] = ()
    """What the customer can do now: ``respond``, ``appeal``, ``withdraw``."""
    issue: str | None = None
    """``forgot_to_cancel``, ``item_not_received``, ``significantly_not_as_described``,
    ``unauthorized_transaction``, ``product_unacceptable``."""
    merchant_response_actions: Items[str] = ()
    """What the seller can do now: ``accept``, ``deny``, ``request_more_info``, ``appeal``, ``respond``."""
    platform_response_actions: Items[str] = ()
    """What Whop can do now: ``request_buyer_info``, ``request_merchant_info``, ``merchant_wins``,
    ``merchant_refund``."""
    customer_appealed: bool | None = None
    merchant_appealed: bool | None = None
    due_date: Timestamp | None = None
    """Until when it has to be paid."""


class VerificationChecks(Payload):
    """What the buyer's bank says of the data that the buyer gave."""

    address_line1: str | None = None
    arn: str | None = None
    """The number by which the card network traces it (ARN)."""
    authorization_code: str | None = None
    """The bank's."""
    card_holder_name: str | None = None
    card_security_code: str | None = None
    zip_code: str | None = None


class Refund(Resource):
    """Money that goes back to a buyer."""

    status: str | None = None
    """``pending``, ``requires_action``, ``succeeded``, ``failed``, ``canceled``."""
    currency: str | None = None
    """ISO 4217 code in lower case."""
    amount: Money | None = None
    payment: PaymentReference | None = None
    payment_id: str | None = None
    metadata: dict[str, JsonValue] | None = None
    """Keys and values of the seller's own, given when it was made."""
    provider: str | None = None
    """``stripe``, ``coinbase``, ``paypal``, ``apple``, ``sezzle``, ``splitit`` and others."""
    reference_status: str | None = None
    """``available``, ``pending``, ``unavailable``."""
    reference_type: str | None = None
    """``acquirer_reference_number``, ``retrieval_reference_number``, ``system_trace_audit_number``."""
    reference_value: str | None = None
    """By which banks trace it."""
    created_at: Timestamp | None = None
    provider_created_at: Timestamp | None = None


class Payment(Resource):
    """A charge to a buyer (``pay_…``), from its first attempt on."""

    RENAMES: ClassVar[Mapping[str, str]] = {
        "last_payment_attempt": "last_payment_attempt_at",
        "next_payment_attempt": "next_payment_attempt_at",
    }

    status: str | None = None
    """``draft``, ``open``, ``authorized``, ``paid``, ``pending``, ``uncollectible``, ``unresolved``, ``void``."""
    substatus: str | None = None
    """Finer than ``status``"""
    currency: str | None = None
    """ISO 4217 code in lower case."""
    total: Money | None = None
    amount_after_fees: Money | None = None
    """What is left for the seller."""
    presentment_total: Money | None = None
    """In the currency that the buyer saw."""
    refunded_amount: Money | None = None
    settlement_amount: Money | None = None
    """In ``settlement_currency``."""
    subtotal: Money | None = None
    """Before tax and fees of the buyer."""
    tax_amount: Money | None = None
    tax_refunded_amount: Money | None = None
    usd_total: Money | None = None
    """The total in US dollars."""
    account: AccountReference | None = None
    account_id: str | None = None
    application_fee: ApplicationFee | None = None
    application_fee_id: str | None = None
    billing_address: Address | None = None
    checkout_configuration_id: str | None = None
    company: AccountReference | None = None
    """The older name of ``account``."""
    company_id: str | None = None
    """The older name of ``account_id``."""
    member: MemberReference | None = None
    member_id: str | None = None
    membership: MembershipReference | None = None
    membership_id: str | None = None
    payment_instrument: PaymentInstrument | None = None
    payment_method: PaymentMethod | None = None
    payment_method_id: str | None = None
    plan: PlanReference | None = None
    plan_id: str | None = None
    product: ProductReference | None = None
    product_id: str | None = None
    promo_code: PromoCode | None = None
    promo_code_id: str | None = None
    quote_id: str | None = None
    shipment_id: str | None = None
    shipping_address: Address | None = None
    user: User | None = None
    user_id: str | None = None
    verification_checks: VerificationChecks | None = None
    billing_reason: str | None = None
    """Why it was charged: ``subscription_create``, ``subscription_cycle``, ``subscription_update``,
    ``one_time``, ``manual``, ``subscription``."""
    card_brand: str | None = None
    """The card network: ``mastercard``, ``visa``, ``amex``, ``discover``, ``unionpay``, ``jcb`` and others."""
    card_last4: str | None = None
    """The last digits of the card."""
    client_secret: str | None = Field(default=None, repr=False)
    """Lets the buyer's page follow it. Not to be logged."""
    customer_email: str | None = None
    customer_phone: str | None = None
    decline_code: str | None = None
    """Why it was declined: ``insufficient_funds``, ``lost_card``, ``stolen_card``, ``expired_card``,
    ``suspected_fraud``, ``invalid_card_number`` and others."""
    disputes: Items[DisputeReference] = ()
    failure_message: str | None = None
    """Why it failed, for people."""
    financing_installments_count: int | None = None
    financing_transactions: Items[FinancingTransaction] = ()
    holds: Items[PaymentHold] = ()
    ip_address: str | None = None
    """The buyer's, at checkout."""
    line_items: Items[LineItem] = ()
    metadata: dict[str, JsonValue] | None = None
    """Keys and values of the seller's own, given when it was made."""
    payment_method_type: str | None = None
    """What was paid with: ``acss_debit``, ``addi``, ``affirm``, ``afterpay_clearpay``, ``alipay``,
    ``alipayhk`` and others."""
    payment_rule_matches: Items[RuleMatch] = ()
    payments_failed: int | None = None
    """How many attempts have failed."""
    recovery_url: str | None = None
    """Where the buyer confirms the charge with the bank."""
    refunds: Items[Refund] = ()
    resolutions: Items[ResolutionReference] = ()
    risk_score: int | None = None
    """0 (least) to 100."""
    risk_signals: dict[str, JsonValue] | None = None
    settlement_currency: str | None = None
    settlement_exchange_rate: float | None = None
    tax_behavior: str | None = None
    """Whether prices include the tax: ``exclusive``, ``inclusive``, ``unspecified``, ``unable_to_collect``."""
    auto_refunded: bool | None = None
    needs_tracking: bool | None = None
    """Whether money is held until the order ships."""
    refundable: bool | None = None
    retryable: bool | None = None
    """Whether it can be tried again."""
    three_ds_verified: bool | None = None
    """Whether 3D Secure was passed."""
    voidable: bool | None = None
    created_at: Timestamp | None = None
    dispute_alerted_at: Timestamp | None = None
    """When a bank warned that this payment will be disputed."""
    last_payment_attempt: Timestamp | None = None
    """The older name of ``last_payment_attempt_at``."""
    last_payment_attempt_at: Timestamp | None = None
    next_payment_attempt: Timestamp | None = None
    """The older name of ``next_payment_attempt_at``."""
    next_payment_attempt_at: Timestamp | None = None
    paid_at: Timestamp | None = None
    """When the money was collected; None if it has not been."""
    refunded_at: Timestamp | None = None
    settlement_time_at: Timestamp | None = None
    """When the money becomes available."""
    updated_at: Timestamp | None = None


class SetupError(Payload):
    """Why a payment method was not saved."""

    code: str | None = None
    message: str | None = None


class SetupIntent(Resource):
    """An attempt to save a payment method for later charges."""

    status: str | None = None
    """``processing``, ``succeeded``, ``canceled``, ``requires_action``."""
    account: AccountReference | None = None
    account_id: str | None = None
    checkout_configuration: Reference | None = None
    checkout_configuration_id: str | None = None
    company: AccountReference | None = None
    """The older name of ``account``."""
    company_id: str | None = None
    """The older name of ``account_id``."""
    last_setup_error: SetupError | None = None
    member: MemberReference | None = None
    member_id: str | None = None
    payment_instrument: PaymentInstrument | None = None
    payment_method: PaymentMethod | None = None
    payment_method_id: str | None = None
    user: User | None = None
    user_id: str | None = None
    client_secret: str | None = Field(default=None, repr=False)
    """Lets the buyer's page follow it. Not to be logged."""
    error_message: str | None = None
    metadata: dict[str, JsonValue] | None = None
    """Keys and values of the seller's own, given when it was made."""
    payment_method_type: str | None = None
    """What was paid with: ``acss_debit``, ``addi``, ``affirm``, ``afterpay_clearpay``, ``alipay``,
    ``alipayhk`` and others."""
    return_url: str | None = None
    three_ds_level: str | None = None
    """When card payments need 3D Secure: ``mandate_challenge``, ``mandate_if_required``,
    ``frictionless_if_required``."""
    three_ds_verified: bool | None = None
    """Whether 3D Secure was passed."""
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None


class PaymentCreated(Event[Literal["payment.created"], Payment]):
    """A payment was begun; no money has moved."""


class PaymentSucceeded(Event[Literal["payment.succeeded"], Payment]):
    """Money was collected, at the first charge and at each renewal: the one to fulfil orders on."""


class PaymentFailed(Event[Literal["payment.failed"], Payment]):
    """An attempt to collect failed; a later one may succeed."""


class PaymentPending(Event[Literal["payment.pending"], Payment]):
    """The bank is still collecting."""


class PaymentRequiresAction(Event[Literal["payment.requires_action"], Payment]):
    """The buyer must confirm a charge with the bank; ``recovery_url`` leads there."""


class PaymentAuthorized(Event[Literal["payment.authorized"], Payment]):
    """The money is held and not yet taken."""


class PaymentCanceled(Event[Literal["payment.canceled"], Payment]):
    """A payment was called off, or held money was let go."""


class PaymentAffiliateRewardCreated(Event[Literal["payment.affiliate_reward_created"], Payment]):
    """An affiliate earned a reward by a payment (old format)."""


class AppPaymentCreated(Event[Literal["app_payment.created"], Payment]):
    """``payment.created`` at an account that installed the app (old format)."""


class AppPaymentSucceeded(Event[Literal["app_payment.succeeded"], Payment]):
    """``payment.succeeded`` at an account that installed the app (old format)."""


class AppPaymentFailed(Event[Literal["app_payment.failed"], Payment]):
    """``payment.failed`` at an account that installed the app (old format)."""


class AppPaymentPending(Event[Literal["app_payment.pending"], Payment]):
    """``payment.pending`` at an account that installed the app (old format)."""


class AppPaymentRequiresAction(Event[Literal["app_payment.requires_action"], Payment]):
    """``payment.requires_action`` at an account that installed the app (old format)."""


class AppPaymentSucceededV5(Event[Literal["app.payment_succeeded"], Payment]):
    """The v5 spelling of ``app_payment.succeeded``."""


class AppPaymentFailedV5(Event[Literal["app.payment_failed"], Payment]):
    """The v5 spelling of ``app_payment.failed``."""


class RefundCreated(Event[Literal["refund.created"], Refund]):
    """A refund was begun."""


class RefundUpdated(Event[Literal["refund.updated"], Refund]):
    """A refund changed status; it settles some time after it began."""


class SetupIntentSucceeded(Event[Literal["setup_intent.succeeded"], SetupIntent]):
    """A payment method was saved."""


class SetupIntentRequiresAction(Event[Literal["setup_intent.requires_action"], SetupIntent]):
    """The buyer must confirm before the payment method is saved."""


class SetupIntentCanceled(Event[Literal["setup_intent.canceled"], SetupIntent]):
    """Saving a payment method was called off."""
