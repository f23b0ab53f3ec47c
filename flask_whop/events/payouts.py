"""Payouts: money that leaves Whop, and where it goes."""

from __future__ import annotations

from typing import Literal

from flask_whop.events.envelope import Event
from flask_whop.events.payload import Resource

__all__ = [
    "Payout",
    "PayoutAccount",
    "PayoutAccountStatusUpdated",
    "PayoutCreated",
    "PayoutMethod",
    "PayoutMethodCreated",
    "PayoutReversed",
    "PayoutUpdated",
    "Withdrawal",
    "WithdrawalCreated",
    "WithdrawalReversed",
    "WithdrawalUpdated",
]


class Payout(Resource):
    """Money on its way to a bank account or wallet."""


class Withdrawal(Resource):
    """What a payout was called before."""


class PayoutMethod(Resource):
    """A destination for payouts."""


class PayoutAccount(Resource):
    """What Whop must know of somebody before it pays out."""


class PayoutCreated(Event[Literal["payout.created"], Payout]):
    """A payout was requested."""


class PayoutUpdated(Event[Literal["payout.updated"], Payout]):
    """A payout changed status."""


class PayoutReversed(Event[Literal["payout.reversed"], Payout]):
    """A payout that had arrived came back."""


class WithdrawalCreated(Event[Literal["withdrawal.created"], Withdrawal]):
    """The older name for ``payout.created``."""


class WithdrawalUpdated(Event[Literal["withdrawal.updated"], Withdrawal]):
    """The older name for ``payout.updated``."""


class WithdrawalReversed(Event[Literal["withdrawal.reversed"], Withdrawal]):
    """The older name for ``payout.reversed``."""


class PayoutMethodCreated(Event[Literal["payout_method.created"], PayoutMethod]):
    """A destination for payouts was added."""


class PayoutAccountStatusUpdated(Event[Literal["payout_account.status_updated"], PayoutAccount]):
    """What a payout account may do changed after a check."""
