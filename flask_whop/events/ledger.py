"""Ledgers: balances, and the lines that change them."""

from __future__ import annotations

from typing import Literal

from flask_whop.events.envelope import Event
from flask_whop.events.payload import Resource

__all__ = [
    "DepositSucceeded",
    "FinancialActivityFundsAvailable",
    "LedgerAccount",
    "LedgerAccountFundsAvailable",
    "LedgerActivity",
    "SwapCompleted",
]


class LedgerAccount(Resource):
    """The balances of an account or a user."""


class LedgerActivity(Resource):
    """One line of a ledger."""


class LedgerAccountFundsAvailable(Event[Literal["ledger_account.funds_available"], LedgerAccount]):
    """Pending funds of a ledger account became available."""


class FinancialActivityFundsAvailable(Event[Literal["financial_activity.funds_available"], LedgerActivity]):
    """Pending funds with one release date became available; each date is an event of its own."""


class SwapCompleted(Event[Literal["swap.completed"], LedgerActivity]):
    """A balance was exchanged from one currency or token into another."""


class DepositSucceeded(Event[Literal["deposit.succeeded"], LedgerActivity]):
    """A deposit arrived."""
