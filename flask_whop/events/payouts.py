"""Payouts: money that leaves Whop, and its destinations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from flask_whop.events.envelope import Event
from flask_whop.events.identity import Verification
from flask_whop.events.money import Money
from flask_whop.events.payload import Payload, Reference
from flask_whop.events.references import Address, OfAccount
from flask_whop.events.resource import Linked, Resource
from flask_whop.events.times import Timestamp


class PayoutFailure(Payload):
    """Why a payout didn't arrive, or came back."""

    code: str | None = None
    message: str | None = None
    funds_returned_at: Timestamp | None = None


class PayoutRail(Payload):
    """A payout method Whop supports, such as a bank transfer."""

    name: str | None = None
    country_code: str | None = None
    delivery_type: str | None = None
    """``cash_pickup``, ``bank_deposit``, ``home_delivery``, ``mobile_wallet``, ``card``, ``check``, ``bill``,
    ``cryptocurrency``, ``unknown``."""
    icon_url: str | None = None
    payer_name: str | None = None
    """The name of the payout method, such as ``ACH Bank Deposit``."""
    supports_instant_delivery: bool | None = None
    supports_plaid: bool | None = None
    supports_standard_delivery: bool | None = None


class PayoutMethodSummary(Payload):
    """The destination of a payout, for display."""

    supported_payout_method: PayoutRail | None = None
    nickname: str | None = None
    """The owner's name for it."""


class Payout(Resource):
    """Money on its way to a bank account or wallet (``wdrl_…``)."""

    object: str | None = None
    """The kind of object: ``payout``."""
    status: str | None = None
    """``requested``, ``in_review``, ``processing``, ``completed``, ``reversed``, ``canceled``, ``failed``,
    ``denied``."""
    currency: str | None = None
    """Lowercase ISO 4217 code."""
    amount: Money | None = None
    destination_amount: Money | None = None
    """The amount that arrives."""
    fee_amount: Money | None = None
    markup_fee: Money | None = None
    """Whop's share of the fee."""
    net_amount: Money | None = None
    """After fees."""
    failure: PayoutFailure | None = None
    payout_method: PayoutMethodSummary | None = None
    payout_request_id: str | None = None
    destination_currency: str | None = None
    exchange_rate: float | None = None
    fee_paid_by: str | None = None
    """``self``, ``platform``."""
    metadata: dict[str, str] | None = None
    """The seller's own keys and values, set at creation."""
    notes: str | None = None
    payer_name: str | None = None
    """The name of the payout method, such as ``ACH Bank Deposit``."""
    source: str | None = None
    """``api``, ``dashboard``, ``automatic``."""
    speed: str | None = None
    """``standard``, ``instant``."""
    statement_descriptor: str | None = None
    """The text on the recipient's statement."""
    status_detail: str | None = None
    trace_code: str | None = None
    """The code banks trace it by."""
    cancelable: bool | None = None
    """Whether it can be canceled now."""
    created_at: Timestamp | None = None
    estimated_arrival: Timestamp | None = None


class Arrival(Payload):
    """When the money would arrive."""

    instant: Timestamp | None = None
    standard: Timestamp | None = None


class FeeStructure(Linked):
    """The fees of a payout."""

    currency: str | None = None
    """Lowercase ISO 4217 code."""
    fixed_amount: Money | None = None
    percentage: float | None = None
    """Of the payout."""


class QuoteOption(Payload):
    """The cost of a payout at one speed, in the currency of the quote."""

    fee: Money | None = None
    total_received: Money | None = None
    """After fees."""


class Quote(Linked):
    """The cost of a payout of a given amount."""

    currency: str | None = None
    """Lowercase ISO 4217 code."""
    amount: Money | None = None
    max_limit: Money | None = None
    min_limit: Money | None = None
    instant: QuoteOption | None = None
    standard: QuoteOption | None = None
    exchange_rate: float | None = None
    instant_unavailable_reason: str | None = None
    """``minimum_crypto_sales_not_met``."""


class Recipient(Payload):
    """Another person who receives the payout."""

    country: str | None = None
    """Two-letter ISO 3166-1 code."""
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None


class PayoutMethodDestination(Payload):
    """The kind of destination, as sent without a version pin."""

    name: str | None = None
    category: str | None = None
    """``crypto``, ``rtp``, ``next_day_bank``, ``bank_wire``, ``digital_wallet``, ``unknown``."""
    country_code: str | None = None


class PayoutMethod(OfAccount):
    """A destination for payouts."""

    RENAMES: ClassVar[Mapping[str, str]] = {"currency": "destination_currency"}

    object: str | None = None
    """The kind of object: ``payout_method``."""
    status: str | None = None
    """``created``, ``active``, ``broken``."""
    currency: str | None = None
    """Older name of ``destination_currency``."""
    destination: PayoutMethodDestination | None = None
    estimated_arrival: Arrival | None = None
    fee_structure: FeeStructure | None = None
    quote: Quote | None = None
    recipient: Recipient | None = None
    supported_payout_method: PayoutRail | None = None
    account_reference: str | None = None
    """The last digits, such as those of an account number."""
    bank_verification_state: str | None = None
    """``checking``, ``verified``, ``no_data``, ``warning``, ``broken``."""
    destination_currency: str | None = None
    institution_name: str | None = None
    """The bank."""
    nickname: str | None = None
    """The owner's name for it."""
    payer_name: str | None = None
    """The name of the payout method, such as ``ACH Bank Deposit``."""
    status_reason: str | None = None
    unavailable_reason: str | None = None
    """``destination_retired``."""
    is_clone: bool | None = None
    """Whether it was copied from another account."""
    is_default: bool | None = None
    linked_via_plaid: bool | None = None
    needs_plaid_reconnect: bool | None = None
    created_at: Timestamp | None = None
    last_paid_out_at: Timestamp | None = None


class BusinessRepresentative(Payload):
    """A person who acts for a business."""

    date_of_birth: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    middle_name: str | None = None


class PayoutAccount(Resource):
    """What Whop must know about a person or business before it pays out."""

    status: str | None = None
    """``connected``, ``disabled``, ``action_required``, ``pending_verification``, ``verification_failed``,
    ``manual_review``, ``denied``, ``not_started``, ``blocked_by_parent``."""
    address: Address | None = None
    business_representative: BusinessRepresentative | None = None
    latest_verification: Verification | None = None
    latest_verification_id: str | None = None
    business_name: str | None = None
    email: str | None = None
    phone: str | None = None


class WithdrawalLedgerAccount(Resource):
    """The ledger account a withdrawal is taken from."""

    account_id: str | None = None
    company_id: str | None = None
    """Older name of ``account_id``."""


class PayoutToken(Reference):
    """The saved destination of a withdrawal."""

    destination_currency_code: str | None = None
    nickname: str | None = None
    """The owner's name for it."""
    payer_name: str | None = None
    """The name of the payout method, such as ``ACH Bank Deposit``."""
    created_at: Timestamp | None = None


class Withdrawal(Resource):
    """A payout under its older name."""

    status: str | None = None
    """``requested``, ``awaiting_payment``, ``in_transit``, ``completed``, ``failed``, ``canceled``, ``denied``."""
    currency: str | None = None
    """Lowercase ISO 4217 code."""
    amount: Money | None = None
    fee_amount: Money | None = None
    markup_fee: Money | None = None
    """Whop's share of the fee."""
    ledger_account: WithdrawalLedgerAccount | None = None
    ledger_account_id: str | None = None
    payout_token: PayoutToken | None = None
    payout_token_id: str | None = None
    error_code: str | None = None
    """Why it failed: ``account_closed``, ``account_does_not_exist``, ``account_information_invalid``,
    ``account_number_invalid_region``, ``account_frozen``, ``account_lookup_failed`` and others."""
    error_message: str | None = None
    fee_type: str | None = None
    """``exclusive``, ``inclusive``."""
    speed: str | None = None
    """``standard``, ``instant``."""
    trace_code: str | None = None
    """The code banks trace it by."""
    created_at: Timestamp | None = None
    estimated_availability: Timestamp | None = None
    """When it becomes available."""


class PayoutCreated(Event[Literal["payout.created"], Payout]):
    """A payout was requested."""


class PayoutUpdated(Event[Literal["payout.updated"], Payout]):
    """A payout changed status."""


class PayoutReversed(Event[Literal["payout.reversed"], Payout]):
    """A payout came back after it had arrived."""


class WithdrawalCreated(Event[Literal["withdrawal.created"], Withdrawal]):
    """The older name for ``payout.created``."""


class WithdrawalUpdated(Event[Literal["withdrawal.updated"], Withdrawal]):
    """The older name for ``payout.updated``."""


class WithdrawalReversed(Event[Literal["withdrawal.reversed"], Withdrawal]):
    """The older name for ``payout.reversed``."""


class PayoutMethodCreated(Event[Literal["payout_method.created"], PayoutMethod]):
    """A destination for payouts was added."""


class PayoutAccountStatusUpdated(Event[Literal["payout_account.status_updated"], PayoutAccount]):
    """A check changed what a payout account may do."""
