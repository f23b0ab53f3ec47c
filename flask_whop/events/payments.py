"""Payments, refunds, and saved payment methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, JsonValue

from flask_whop.events.envelope import Event
from flask_whop.events.money import Money
from flask_whop.events.parts import (
    DisputeReference,
    LineItem,
    PaymentFields,
    PaymentInstrument,
    PaymentMethod,
    PaymentReference,
)
from flask_whop.events.payload import Items, Payload, Reference
from flask_whop.events.references import Address, MemberReference, OfAccount, User
from flask_whop.events.resource import Linked, Resource
from flask_whop.events.times import Timestamp


class ApplicationFee(Resource):
    """An app's fee on a payment."""

    currency: str | None = None
    """Lowercase ISO 4217 code."""
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
    """A part of a payment that's held back."""

    type: str | None = None
    """``reserve``, ``bnpl``, ``sequra``, ``fraud_hold``, ``preshipment_hold``."""
    amount: Money | None = None
    percentage: float | None = None
    """Of the payment."""
    release_at: Timestamp | None = None
    """When it's released; None if that depends on something else."""


class RuleMatch(Reference):
    """A rule of the seller's that matched a payment."""

    name: str | None = None
    action: str | None = None
    """``allow``, ``block``, ``review``, ``enforce_3ds``."""


class PromoCode(Reference):
    """A promo code."""

    amount_off: float | None = None
    """A percentage or an amount, depending on ``promo_type``."""
    base_currency: str | None = None
    code: str | None = None
    number_of_intervals: int | None = None
    """The number of months it applies."""
    promo_type: str | None = None
    """``percentage``, ``flat_amount``."""


class ResolutionReference(Reference):
    """A case in the resolution center about a payment."""

    status: str | None = None
    """``merchant_response_needed``, ``customer_response_needed``, ``merchant_info_needed``,
    ``customer_info_needed``, ``under_platform_review``, ``customer_won``, ``merchant_won``,
    ``customer_withdrew``."""
    customer_response_actions: Items[str] = ()
    """The customer's options now: ``respond``, ``appeal``, ``withdraw``."""
    issue: str | None = None
    """``forgot_to_cancel``, ``item_not_received``, ``significantly_not_as_described``,
    ``unauthorized_transaction``, ``product_unacceptable``."""
    merchant_response_actions: Items[str] = ()
    """The seller's options now: ``accept``, ``deny``, ``request_more_info``, ``appeal``, ``respond``."""
    platform_response_actions: Items[str] = ()
    """Whop's options now: ``request_buyer_info``, ``request_merchant_info``, ``merchant_wins``, ``merchant_refund``."""
    customer_appealed: bool | None = None
    merchant_appealed: bool | None = None
    due_date: Timestamp | None = None
    """The deadline for an answer."""


class VerificationChecks(Payload):
    """The buyer's bank's checks of the data the buyer entered."""

    address_line1: str | None = None
    arn: str | None = None
    """The number the card network traces it by (ARN)."""
    authorization_code: str | None = None
    """The bank's."""
    card_holder_name: str | None = None
    card_security_code: str | None = None
    zip_code: str | None = None


class Refund(Resource):
    """Money returned to a buyer."""

    status: str | None = None
    """``pending``, ``requires_action``, ``succeeded``, ``failed``, ``canceled``."""
    currency: str | None = None
    """Lowercase ISO 4217 code."""
    amount: Money | None = None
    payment: PaymentReference | None = None
    payment_id: str | None = None
    metadata: dict[str, JsonValue] | None = None
    """The seller's own keys and values, set at creation."""
    provider: str | None = None
    """``stripe``, ``coinbase``, ``paypal``, ``apple``, ``sezzle``, ``splitit`` and others."""
    reference_status: str | None = None
    """``available``, ``pending``, ``unavailable``."""
    reference_type: str | None = None
    """``acquirer_reference_number``, ``retrieval_reference_number``, ``system_trace_audit_number``."""
    reference_value: str | None = None
    """The code banks trace it by."""
    created_at: Timestamp | None = None
    provider_created_at: Timestamp | None = None


class Payment(PaymentFields, OfAccount):
    """A charge to a buyer (``pay_…``), from its first attempt on."""

    RENAMES: ClassVar[Mapping[str, str]] = {
        "last_payment_attempt": "last_payment_attempt_at",
        "next_payment_attempt": "next_payment_attempt_at",
    }

    status: str | None = None
    """``draft``, ``open``, ``authorized``, ``paid``, ``pending``, ``uncollectible``, ``unresolved``, ``void``."""
    substatus: str | None = None
    """More detailed than ``status``."""
    amount_after_fees: Money | None = None
    """The seller's share."""
    presentment_total: Money | None = None
    """In the currency the buyer saw."""
    refunded_amount: Money | None = None
    settlement_amount: Money | None = None
    """In ``settlement_currency``."""
    application_fee: ApplicationFee | None = None
    application_fee_id: str | None = None
    billing_address: Address | None = None
    checkout_configuration_id: str | None = None
    payment_method: PaymentMethod | None = None
    payment_method_id: str | None = None
    promo_code: PromoCode | None = None
    promo_code_id: str | None = None
    quote_id: str | None = None
    shipment_id: str | None = None
    shipping_address: Address | None = None
    verification_checks: VerificationChecks | None = None
    client_secret: str | None = Field(default=None, repr=False)
    """Lets the buyer's page follow it. Don't log it."""
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
    payment_rule_matches: Items[RuleMatch] = ()
    payments_failed: int | None = None
    """The number of failed attempts."""
    recovery_url: str | None = None
    """Where the buyer confirms the charge with the bank."""
    refunds: Items[Refund] = ()
    resolutions: Items[ResolutionReference] = ()
    risk_score: int | None = None
    """0 (least) to 100."""
    risk_signals: dict[str, JsonValue] | None = None
    settlement_currency: str | None = None
    settlement_exchange_rate: float | None = None
    auto_refunded: bool | None = None
    needs_tracking: bool | None = None
    """Whether the money is held until the order ships."""
    refundable: bool | None = None
    retryable: bool | None = None
    """Whether it can be tried again."""
    three_ds_verified: bool | None = None
    """Whether 3D Secure was passed."""
    voidable: bool | None = None
    last_payment_attempt: Timestamp | None = None
    """Older name of ``last_payment_attempt_at``."""
    last_payment_attempt_at: Timestamp | None = None
    next_payment_attempt: Timestamp | None = None
    """Older name of ``next_payment_attempt_at``."""
    next_payment_attempt_at: Timestamp | None = None
    refunded_at: Timestamp | None = None
    settlement_time_at: Timestamp | None = None
    """When the money becomes available."""
    updated_at: Timestamp | None = None


class SetupError(Payload):
    """Why a payment method wasn't saved."""

    code: str | None = None
    message: str | None = None


class SetupIntent(OfAccount):
    """An attempt to save a payment method for later charges."""

    status: str | None = None
    """``processing``, ``succeeded``, ``canceled``, ``requires_action``."""
    checkout_configuration: Reference | None = None
    checkout_configuration_id: str | None = None
    last_setup_error: SetupError | None = None
    member: MemberReference | None = None
    member_id: str | None = None
    payment_instrument: PaymentInstrument | None = None
    payment_method: PaymentMethod | None = None
    payment_method_id: str | None = None
    user: User | None = None
    user_id: str | None = None
    client_secret: str | None = Field(default=None, repr=False)
    """Lets the buyer's page follow it. Don't log it."""
    error_message: str | None = None
    metadata: dict[str, JsonValue] | None = None
    """The seller's own keys and values, set at creation."""
    payment_method_type: str | None = None
    """The payment method: ``acss_debit``, ``addi``, ``affirm``, ``afterpay_clearpay``, ``alipay``,
    ``alipayhk`` and others."""
    return_url: str | None = None
    three_ds_level: str | None = None
    """When cards need 3D Secure: ``mandate_challenge``, ``mandate_if_required``, ``frictionless_if_required``."""
    three_ds_verified: bool | None = None
    """Whether 3D Secure was passed."""
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None


class PaymentCreated(Event[Literal["payment.created"], Payment]):
    """A payment was started; no money has moved."""


class PaymentSucceeded(Event[Literal["payment.succeeded"], Payment]):
    """Money was collected, at the first charge and at each renewal. Fulfill orders on this one."""


class PaymentFailed(Event[Literal["payment.failed"], Payment]):
    """An attempt to collect failed; a later one may succeed."""


class PaymentPending(Event[Literal["payment.pending"], Payment]):
    """The bank is still collecting."""


class PaymentRequiresAction(Event[Literal["payment.requires_action"], Payment]):
    """The buyer must confirm a charge with the bank; ``recovery_url`` leads there."""


class PaymentAuthorized(Event[Literal["payment.authorized"], Payment]):
    """The money is reserved but not collected yet."""


class PaymentCanceled(Event[Literal["payment.canceled"], Payment]):
    """A payment was canceled, or reserved money was released."""


class PaymentAffiliateRewardCreated(Event[Literal["payment.affiliate_reward_created"], Payment]):
    """An affiliate earned a reward for a payment (old format)."""


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
    """A refund was started."""


class RefundUpdated(Event[Literal["refund.updated"], Refund]):
    """A refund changed status; it settles some time after it starts."""


class SetupIntentSucceeded(Event[Literal["setup_intent.succeeded"], SetupIntent]):
    """A payment method was saved."""


class SetupIntentRequiresAction(Event[Literal["setup_intent.requires_action"], SetupIntent]):
    """The buyer must confirm before the payment method is saved."""


class SetupIntentCanceled(Event[Literal["setup_intent.canceled"], SetupIntent]):
    """Saving a payment method was canceled."""
