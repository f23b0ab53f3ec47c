"""Payments, refunds, and saved payment methods."""

from __future__ import annotations

from typing import Literal

from flask_whop.events.envelope import Event
from flask_whop.events.payload import Resource

__all__ = [
    "AppPaymentCreated",
    "AppPaymentFailed",
    "AppPaymentFailedV5",
    "AppPaymentPending",
    "AppPaymentRequiresAction",
    "AppPaymentSucceeded",
    "AppPaymentSucceededV5",
    "Payment",
    "PaymentAffiliateRewardCreated",
    "PaymentAuthorized",
    "PaymentCanceled",
    "PaymentCreated",
    "PaymentFailed",
    "PaymentPending",
    "PaymentRequiresAction",
    "PaymentSucceeded",
    "Refund",
    "RefundCreated",
    "RefundUpdated",
    "SetupIntent",
    "SetupIntentCanceled",
    "SetupIntentRequiresAction",
    "SetupIntentSucceeded",
]


class Payment(Resource):
    """A charge to a buyer, from its first attempt on."""


class Refund(Resource):
    """Money that goes back to a buyer."""


class SetupIntent(Resource):
    """An attempt to save a payment method for later charges."""


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
