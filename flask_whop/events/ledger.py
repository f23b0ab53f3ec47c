"""Ledgers: balances, and the lines that change them."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import ValidationError

from flask_whop.events.envelope import Event
from flask_whop.events.money import Money
from flask_whop.events.parts import CardDetails, PaymentReference
from flask_whop.events.payload import Items, Payload, Reference
from flask_whop.events.payouts import PayoutAccount
from flask_whop.events.references import User
from flask_whop.events.resource import Linked, Resource
from flask_whop.events.times import Timestamp


class LedgerBalance(Linked):
    """A ledger account's balance in one currency."""

    currency: str | None = None
    """Lowercase ISO 4217 code."""
    balance: Money | None = None
    """Available now."""
    pending_balance: Money | None = None
    """Not settled yet."""
    reserve_balance: Money | None = None
    """Held back."""


class TreasuryBalance(LedgerBalance):
    """A ledger account's total balance."""

    balance_usd: Money | None = None
    total_withdrawable_balance: Money | None = None
    """Can be paid out."""


class LedgerParty(Reference):
    """The account or person on one side of a ledger line; ``object`` or ``typename`` says which."""

    object: str | None = None
    """The kind of object: ``account``, ``user``."""
    title: str | None = None
    name: str | None = None
    logo_url: str | None = None
    profile_picture_url: str | None = None
    route: str | None = None
    """The last part of its address on whop.com."""
    typename: str | None = None
    """``User`` or ``Company``."""
    username: str | None = None
    """The handle, without the @."""


class LedgerAccount(Resource):
    """The balances of an account or a user (``ldgr_…``)."""

    owner: LedgerParty | None = None
    owner_id: str | None = None
    payout_account_details: PayoutAccount | None = None
    payout_account_details_id: str | None = None
    treasury_balance: TreasuryBalance | None = None
    balances: Items[LedgerBalance] = ()
    ledger_type: str | None = None
    """``primary``, ``pool``."""
    payments_approval_status: str | None = None
    """``pending``, ``approved``, ``monitoring``, ``rejected``."""
    transfer_fee: float | None = None
    payout_quote_required: bool | None = None
    """Whether a payout needs a quote first."""
    settlement_time_at: Timestamp | None = None
    """When the money becomes available."""


class LedgerCurrency(Payload):
    """The currency of a ledger line."""

    code: str | None = None
    precision: str | None = None
    """How many of the smallest units make one, as text: ``100000000``."""


class BankAccount(Payload):
    """The details of a bank account."""

    account_name: str | None = None
    account_type: str | None = None
    bank_name: str | None = None
    last4: str | None = None
    """The last four digits of the number."""


class LedgerResource(Resource):
    """The subject of a ledger line; its fields depend on its kind, ``object``."""

    object: str | None = None
    """The kind of object: ``account``, ``user``, ``bounty``, ``ledger_account``,
    ``payment_method``, ``payout_method``, ``card_transaction``."""
    title: str | None = None
    name: str | None = None
    status: str | None = None
    cashback_usd: Money | None = None
    local_amount: Money | None = None
    """In the merchant's ``currency``."""
    usd_amount: Money | None = None
    bank: BankAccount | None = None
    card: CardDetails | None = None
    card_id: str | None = None
    owner: LedgerParty | None = None
    owner_id: str | None = None
    account_reference: str | None = None
    """The last digits, such as those of an account number."""
    declined_reason: str | None = None
    destination_currency_code: str | None = None
    email_identifier: str | None = None
    gateway_type: str | None = None
    institution_name: str | None = None
    """The bank."""
    local_currency: str | None = None
    logo_url: str | None = None
    merchant_category: str | None = None
    merchant_icon_url: str | None = None
    merchant_name: str | None = None
    nickname: str | None = None
    """The owner's name for it."""
    payment_method_type: str | None = None
    """The payment method."""
    profile_picture_url: str | None = None
    provider: str | None = None
    route: str | None = None
    """The last part of its address on whop.com."""
    username: str | None = None
    """The handle, without the @."""
    authorized_at: Timestamp | None = None
    posted_at: Timestamp | None = None
    """The settlement time."""


class PayoutDestination(Payload):
    """The destination of a payout, for display."""

    icon_url: str | None = None
    payer_name: str | None = None
    """The name of the payout method, such as ``ACH Bank Deposit``."""


class LedgerSource(Linked):
    """The cause of a ledger line; its fields depend on its kind, ``object``."""

    id: str | None = None
    object: str | None = None
    """The kind of object."""
    status: str | None = None
    reason: str | None = None
    fee_amount: Money | None = None
    from_amount: Money | None = None
    """The amount given in a swap."""
    payment_amount: Money | None = None
    payout_amount: Money | None = None
    to_amount: Money | None = None
    """The amount received in a swap."""
    created_by_user: User | None = None
    created_by_user_id: str | None = None
    payout_destination: PayoutDestination | None = None
    amount_float: float | None = None
    card_brand: str | None = None
    """The card network."""
    chain: str | None = None
    claim_url: str | None = None
    fee_kind: str | None = None
    """``payout``, ``transfer``, ``deposit``, ``swap``, ``card_spend``."""
    fee_type: str | None = None
    """``exclusive``, ``inclusive``."""
    from_currency: str | None = None
    notes: str | None = None
    payer_name: str | None = None
    """The name of the payout method, such as ``ACH Bank Deposit``."""
    payment_method_type: str | None = None
    """The payment method."""
    payment_processor: str | None = None
    """The payment processor."""
    payout_token_nickname: str | None = None
    sender_address: str | None = None
    to_currency: str | None = None
    trace_code: str | None = None
    """The code banks trace it by."""
    tx_hash: str | None = None
    """The hash of the transaction on the chain."""
    risk_review_hold: bool | None = None
    """Whether it's held for review."""
    created_at: Timestamp | None = None
    estimated_arrival: Timestamp | None = None


class LedgerActivity(Resource):
    """One line of a ledger."""

    object: str | None = None
    """The kind of object: ``ledger_activity``."""
    line_type: str | None = None
    """``psp_payment_receivable``, ``payment_gross``, ``topup``, ``topup_fee``, ``payment_gross_reversal``,
    ``topup_reversal`` and others."""
    currency: LedgerCurrency | None = None
    account: LedgerParty | None = None
    account_id: str | None = None
    ledger_account_id: str | None = None
    payment: PaymentReference | None = None
    payment_id: str | None = None
    plan_id: str | None = None
    product_id: str | None = None
    resource: LedgerResource | None = None
    resource_id: str | None = None
    source: LedgerSource | None = None
    source_id: str | None = None
    user_id: str | None = None
    amount: str | None = None
    """In the smallest units of the currency, as text; negative for money that leaves. See ``money``."""
    plan_name: str | None = None
    product_name: str | None = None
    usd_amount: str | None = None
    """As text."""
    user_email: str | None = None
    user_name: str | None = None
    available_at: Timestamp | None = None
    """When it becomes available."""
    posted_at: Timestamp | None = None
    """The settlement time."""

    @property
    def money(self) -> Money | None:
        """``amount`` in units of its currency; None unless Whop sent both in a readable form."""
        if self.amount is None or self.currency is None or self.currency.precision is None:
            return None
        try:
            return Money(amount=Decimal(self.amount) / Decimal(self.currency.precision), currency=self.currency.code)
        except (ArithmeticError, ValidationError):
            return None


class LedgerAccountFundsAvailable(Event[Literal["ledger_account.funds_available"], LedgerAccount]):
    """A ledger account's pending funds became available."""


class FinancialActivityFundsAvailable(Event[Literal["financial_activity.funds_available"], LedgerActivity]):
    """Pending funds with one release date became available; each date is its own event."""


class SwapCompleted(Event[Literal["swap.completed"], LedgerActivity]):
    """A balance was exchanged from one currency or token to another."""


class DepositSucceeded(Event[Literal["deposit.succeeded"], LedgerActivity]):
    """A deposit arrived."""
