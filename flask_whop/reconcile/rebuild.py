"""How to rebuild what no log has: what happened while a webhook was disabled, or more than 30 days ago.

Whop lists no past events, so the rows of a list are read anew, and compared with what the
app knows. By Whop's API reference; a row that has ``updated_at`` tells when it changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple


class Source(NamedTuple):
    """The list that has the resources of an event family."""

    call: str
    """Such as ``GET /payments``."""
    has_updated_at: bool
    """Whether its rows tell when they changed."""
    permissions: str
    """What the key needs, as far as Whop documents it."""


_MEMBER: Final = "member:basic:read, member:email:read"
_LISTS: Final = {
    "payment": ("payments", f"payment:basic:read, plan:basic:read, access_pass:basic:read, {_MEMBER}"),
    "membership": ("memberships", _MEMBER),
    "member": ("members", f"{_MEMBER}, member:phone:read"),
    "refund": ("refunds", "payment:basic:read"),
    "dispute": ("disputes", "payment:dispute:read, payment:basic:read"),
    "dispute_alert": ("dispute_alerts", "payment:dispute_alert:read, payment:dispute:read"),
    "resolution_center_case": ("resolution_center_cases", "payment:resolution_center_case:read"),
    "invoice": ("invoices", "invoice:basic:read"),
    "setup_intent": ("setup_intents", f"payment:setup_intent:read, {_MEMBER}"),
    "entry": ("waitlist_entries", "plan:waitlist:read, member:email:read"),
    "shipment": ("shipments", "shipment:basic:read, payment:basic:read"),
    "course_lesson_interaction": ("course_lesson_interactions", "courses:read, course_analytics:read"),
    "chat.message": ("messages", "chat:read"),
    "chat.reaction": ("reactions", "chat:read"),
    "account": ("accounts", ""),
    "ad": ("ads", ""),
    "ad_campaign": ("ad_campaigns", ""),
    "ad_group": ("ad_groups", ""),
    "card": ("cards", ""),
    "card_transaction": ("card_transactions", ""),
    "export": ("exports", ""),
    "financial_activity": ("financial_activity", ""),
    "identity_profile": ("identity_profiles", ""),
    "payout": ("payouts", ""),
    "payout_method": ("payout_methods", ""),
    "plan": ("plans", ""),
    "product": ("products", ""),
    "swap": ("swaps", ""),
    "transfer": ("transfers", ""),
    "verification": ("verifications", ""),
    "deposit": ("financial_activity", ""),
}
_WITH_UPDATED_AT: Final = frozenset(
    {
        *("ads", "ad_campaigns", "ad_groups", "disputes", "dispute_alerts", "exports", "invoices", "memberships"),
        *("payments", "plans", "products", "resolution_center_cases", "setup_intents", "shipments"),
    }
)


def sources_of(event_types: Iterable[str]) -> dict[str, Source]:
    """Return the list for each event family among ``event_types`` that has one."""
    families = sorted({event_type.rpartition(".")[0] for event_type in event_types} & _LISTS.keys())
    return {
        family: Source(f"GET /{path}", path in _WITH_UPDATED_AT, permissions)
        for family in families
        for path, permissions in [_LISTS[family]]
    }
