"""The one table of all the event types that Whop sends, and where the class of each stands.

Nothing is imported to make it: a family is imported when one of its classes is first
asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from flask_whop.errors import UnknownEventError

if TYPE_CHECKING:
    from flask_whop.events.anything import AnyEvent

FAMILIES: Final[Mapping[str, Mapping[str, str]]] = {
    "accounts": {
        "account.updated": "AccountUpdated",
        "account.financing_approved": "AccountFinancingApproved",
        "account.financing_denied": "AccountFinancingDenied",
        "account.financing_disabled": "AccountFinancingDisabled",
    },
    "ads": {
        "ad_campaign.created": "AdCampaignCreated",
        "ad_campaign.updated": "AdCampaignUpdated",
        "ad_campaign.payment_failed": "AdCampaignPaymentFailed",
        "ad_campaign.events": "AdCampaignEvents",
        "ad_group.created": "AdGroupCreated",
        "ad_group.updated": "AdGroupUpdated",
        "ad.created": "AdCreated",
        "ad.updated": "AdUpdated",
    },
    "cards": {
        "card_application.created": "CardApplicationCreated",
        "card_application.updated": "CardApplicationUpdated",
        "card_application.approved": "CardApplicationApproved",
        "card_application.denied": "CardApplicationDenied",
        "card.created": "CardCreated",
        "card.updated": "CardUpdated",
        "card.frozen": "CardFrozen",
        "card.canceled": "CardCanceled",
        "card_transaction.created": "CardTransactionCreated",
        "card_transaction.updated": "CardTransactionUpdated",
        "card_transaction.completed": "CardTransactionCompleted",
        "card_transaction.declined": "CardTransactionDeclined",
        "card_transaction.reversed": "CardTransactionReversed",
    },
    "chat": {
        "chat.message.created": "ChatMessageCreated",
        "chat.reaction.created": "ChatReactionCreated",
    },
    "courses": {
        "course_lesson_interaction.completed": "CourseLessonInteractionCompleted",
    },
    "disputes": {
        "dispute.created": "DisputeCreated",
        "dispute.updated": "DisputeUpdated",
        "dispute_alert.created": "DisputeAlertCreated",
        "resolution_center_case.created": "ResolutionCenterCaseCreated",
        "resolution_center_case.updated": "ResolutionCenterCaseUpdated",
        "resolution_center_case.decided": "ResolutionCenterCaseDecided",
        "resolution.created": "ResolutionCreated",
        "resolution.updated": "ResolutionUpdated",
        "resolution.decided": "ResolutionDecided",
    },
    "entries": {
        "entry.created": "EntryCreated",
        "entry.approved": "EntryApproved",
        "entry.denied": "EntryDenied",
        "entry.deleted": "EntryDeleted",
    },
    "exports": {
        "export.completed": "ExportCompleted",
        "export.failed": "ExportFailed",
    },
    "identity": {
        "identity_profile.needs_action": "IdentityProfileNeedsAction",
        "identity_profile.approved": "IdentityProfileApproved",
        "identity_profile.rejected": "IdentityProfileRejected",
        "identity_profile.updated": "IdentityProfileUpdated",
        "verification.succeeded": "VerificationSucceeded",
    },
    "invoices": {
        "invoice.created": "InvoiceCreated",
        "invoice.paid": "InvoicePaid",
        "invoice.past_due": "InvoicePastDue",
        "invoice.voided": "InvoiceVoided",
        "invoice.marked_uncollectible": "InvoiceMarkedUncollectible",
    },
    "ledger": {
        "ledger_account.funds_available": "LedgerAccountFundsAvailable",
        "financial_activity.funds_available": "FinancialActivityFundsAvailable",
        "swap.completed": "SwapCompleted",
        "deposit.succeeded": "DepositSucceeded",
    },
    "memberships": {
        "membership.activated": "MembershipActivated",
        "membership.deactivated": "MembershipDeactivated",
        "membership.trial_ending_soon": "MembershipTrialEndingSoon",
        "membership.updated": "MembershipUpdated",
        "membership.cancel_at_period_end_changed": "MembershipCancelAtPeriodEndChanged",
        "membership.went_valid": "MembershipWentValid",
        "membership.went_invalid": "MembershipWentInvalid",
        "membership.metadata_updated": "MembershipMetadataUpdated",
        "membership.experience_claimed": "MembershipExperienceClaimed",
        "app_membership.went_valid": "AppMembershipWentValid",
        "app_membership.went_invalid": "AppMembershipWentInvalid",
        "app_membership.cancel_at_period_end_changed": "AppMembershipCancelAtPeriodEndChanged",
        "app.membership_went_valid": "AppMembershipWentValidV5",
        "app.membership_went_invalid": "AppMembershipWentInvalidV5",
        "member.created": "MemberCreated",
        "member.updated": "MemberUpdated",
    },
    "payments": {
        "payment.created": "PaymentCreated",
        "payment.succeeded": "PaymentSucceeded",
        "payment.failed": "PaymentFailed",
        "payment.pending": "PaymentPending",
        "payment.requires_action": "PaymentRequiresAction",
        "payment.authorized": "PaymentAuthorized",
        "payment.canceled": "PaymentCanceled",
        "payment.affiliate_reward_created": "PaymentAffiliateRewardCreated",
        "app_payment.created": "AppPaymentCreated",
        "app_payment.succeeded": "AppPaymentSucceeded",
        "app_payment.failed": "AppPaymentFailed",
        "app_payment.pending": "AppPaymentPending",
        "app_payment.requires_action": "AppPaymentRequiresAction",
        "app.payment_succeeded": "AppPaymentSucceededV5",
        "app.payment_failed": "AppPaymentFailedV5",
        "refund.created": "RefundCreated",
        "refund.updated": "RefundUpdated",
        "setup_intent.succeeded": "SetupIntentSucceeded",
        "setup_intent.requires_action": "SetupIntentRequiresAction",
        "setup_intent.canceled": "SetupIntentCanceled",
    },
    "payouts": {
        "payout.created": "PayoutCreated",
        "payout.updated": "PayoutUpdated",
        "payout.reversed": "PayoutReversed",
        "withdrawal.created": "WithdrawalCreated",
        "withdrawal.updated": "WithdrawalUpdated",
        "withdrawal.reversed": "WithdrawalReversed",
        "payout_method.created": "PayoutMethodCreated",
        "payout_account.status_updated": "PayoutAccountStatusUpdated",
    },
    "products": {
        "product.created": "ProductCreated",
        "product.updated": "ProductUpdated",
        "product.deleted": "ProductDeleted",
        "product.published": "ProductPublished",
        "product.unpublished": "ProductUnpublished",
        "plan.created": "PlanCreated",
        "plan.updated": "PlanUpdated",
        "plan.deleted": "PlanDeleted",
    },
    "shipping": {
        "shipment.created": "ShipmentCreated",
        "shipment.updated": "ShipmentUpdated",
        "shipping_address.changed": "ShippingAddressChanged",
    },
    "transfers": {
        "transfer.created": "TransferCreated",
        "transfer.completed": "TransferCompleted",
        "transfer.failed": "TransferFailed",
    },
}
"""For each family, a module of this package: the event types and the names of their classes."""

PAYLOADS: Final[Mapping[str, tuple[str, ...]]] = {
    "accounts": (
        "Account",
        "FinancingChange",
    ),
    "ads": (
        "AdCampaign",
        "AdGroup",
        "Ad",
        "AdCampaignActivity",
    ),
    "cards": (
        "CardApplication",
        "Card",
        "CardTransaction",
    ),
    "chat": (
        "ChatMessage",
        "ChatReaction",
    ),
    "courses": ("CourseLessonInteraction",),
    "disputes": (
        "Dispute",
        "DisputeAlert",
        "ResolutionCenterCase",
    ),
    "entries": ("Entry",),
    "exports": ("Export",),
    "identity": (
        "IdentityProfile",
        "Verification",
    ),
    "invoices": ("Invoice",),
    "ledger": (
        "LedgerAccount",
        "LedgerActivity",
    ),
    "memberships": (
        "Membership",
        "Member",
    ),
    "payments": (
        "Payment",
        "Refund",
        "SetupIntent",
    ),
    "payouts": (
        "Payout",
        "Withdrawal",
        "PayoutMethod",
        "PayoutAccount",
    ),
    "products": (
        "Product",
        "Plan",
    ),
    "shipping": (
        "Shipment",
        "ShippingAddressChange",
    ),
    "transfers": ("Transfer",),
}
"""For each family, the payloads that its events carry."""

EVENT_TYPES: Final[tuple[str, ...]] = tuple(name for events in FAMILIES.values() for name in events)
"""Every event type that has a class, by the name that Whop gives it."""

_CLASS_NAMES: Final = {
    event_type: class_name for events in FAMILIES.values() for event_type, class_name in events.items()
}
HOMES: Final = {
    **{name: family for family in FAMILIES for name in (*FAMILIES[family].values(), *PAYLOADS[family])},
    "AnyEvent": "anything",
    "Money": "money",
    "Payload": "payload",
    "Resource": "resource",
}
"""In which module of this package each name stands that is imported when it is first asked for."""


def event_class(event_type: object) -> type[AnyEvent] | None:
    """The class of ``event_type``, or None if this release does not know the type."""
    class_name = _CLASS_NAMES.get(event_type) if isinstance(event_type, str) else None
    return load(class_name) if class_name else None


@cache
def load(name: str) -> Any:
    """The event or payload class of this name; raise :class:`KeyError` if there is none."""
    return getattr(import_module(f"flask_whop.events.{HOMES[name]}"), name)


def matching(pattern: str) -> tuple[str, ...]:
    """The event types that ``pattern`` names: one by its name, or several by ``*``.

    Raises :class:`~flask_whop.errors.UnknownEventError` if there are none, naming the
    nearest ones.
    """
    found = tuple(event_type for event_type in EVENT_TYPES if fnmatchcase(event_type, pattern))
    if not found:
        near = get_close_matches(pattern.replace("_", "."), EVENT_TYPES, n=3, cutoff=0.5)
        advice = f"Did you mean {' or '.join(map(repr, near))}?" if near else "See flask_whop.events.EVENT_TYPES."
        raise UnknownEventError(f"Whop sends no event that is called {pattern!r}. {advice}")
    return found
