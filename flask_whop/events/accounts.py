"""Accounts: a business on Whop, its profile and its buy-now-pay-later financing."""

from __future__ import annotations

from typing import Literal

from flask_whop.events.envelope import Event
from flask_whop.events.payload import Payload, Resource

__all__ = [
    "Account",
    "AccountFinancingApproved",
    "AccountFinancingDenied",
    "AccountFinancingDisabled",
    "AccountUpdated",
    "FinancingChange",
]


class Account(Resource):
    """A business account on Whop (``biz_…``)."""


class FinancingChange(Payload):
    """What changed about one financing provider of an account; not the account itself."""


class AccountUpdated(Event[Literal["account.updated"], Account]):
    """The profile or the settings of an account changed; ``previous_attributes`` has the old values."""


class AccountFinancingApproved(Event[Literal["account.financing_approved"], Account]):
    """Buyers of the account may now pay later."""


class AccountFinancingDenied(Event[Literal["account.financing_denied"], Account]):
    """The account asked for financing and was turned down."""


class AccountFinancingDisabled(Event[Literal["account.financing_disabled"], FinancingChange]):
    """A provider stopped financing this account's buyers, for instance after many disputes."""
