"""Which events a webhook can be subscribed to, and what an app needs to get them.

By Whop's API reference for ``POST /webhooks``, which takes 91 names, and its guide. An
older webhook may deliver the others all the same.
"""

from __future__ import annotations

from typing import Final

from flask_whop.events.registry import event_class

SUCCESSORS: Final[dict[str, str | None]] = {
    "withdrawal.created": "payout.created",
    "withdrawal.updated": "payout.updated",
    "withdrawal.reversed": "payout.reversed",
    "membership.went_valid": "membership.activated",
    "membership.went_invalid": "membership.deactivated",
    "membership.metadata_updated": "membership.updated",
    "membership.experience_claimed": None,
    "resolution.created": "resolution_center_case.created",
    "resolution.updated": "resolution_center_case.updated",
    "resolution.decided": "resolution_center_case.decided",
    "payment.affiliate_reward_created": None,
    "app_membership.went_valid": "membership.activated",
    "app_membership.went_invalid": "membership.deactivated",
    "app_membership.cancel_at_period_end_changed": "membership.cancel_at_period_end_changed",
    "app_payment.created": "payment.created",
    "app_payment.succeeded": "payment.succeeded",
    "app_payment.failed": "payment.failed",
    "app_payment.pending": "payment.pending",
    "app_payment.requires_action": "payment.requires_action",
    "app.membership_went_valid": "membership.activated",
    "app.membership_went_invalid": "membership.deactivated",
    "app.payment_succeeded": "payment.succeeded",
    "app.payment_failed": "payment.failed",
    "payout.completed": "payout.updated",
    "shipping_address.changed": None,
}
"""The events that no webhook can be subscribed to any more, with the event that has taken their place."""

_PERMISSIONS: Final = {
    "payout": "withdrawals",
    "course_lesson_interaction": "courses",
    "resolution_center_case": "resolutions",
    "dispute_alert": "disputes",
    "entry": "entries",
    "financial_activity": "financial_activity",
    "chat": "chat",
    "identity_profile": "identity_profiles",
}


def can_be_subscribed(event_type: str) -> bool:
    """Whether ``POST /webhooks`` takes this name."""
    return event_type not in SUCCESSORS and event_class(event_type) is not None


def permission_of(event_type: str) -> str:
    """Return the permission that an app's webhook needs for an event; without it, fields of the payload are null."""
    family = event_type.partition(".")[0]
    return f"webhook_receive:{_PERMISSIONS.get(family, f'{family}s')}"
