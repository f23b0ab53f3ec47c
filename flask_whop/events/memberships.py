"""Memberships, and the people who have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, JsonValue

from flask_whop.events.envelope import Event
from flask_whop.events.money import Money
from flask_whop.events.payload import Items, Payload, Reference
from flask_whop.events.references import (
    CustomFieldResponse,
    MemberReference,
    OfAccount,
    PlanReference,
    ProductReference,
    User,
)
from flask_whop.events.resource import Resource
from flask_whop.events.times import Timestamp


class Affiliate(Resource):
    """The affiliate who earns a commission on a membership."""

    commission_amount: Money | None = None
    user_id: str | None = None
    applies_to_payments: str | None = None
    """The payments the commission applies to: ``first_payment``, ``all_payments``."""
    commission_percentage: float | None = None
    """20 is 20%."""
    commission_type: str | None = None
    """``flat_fee``, ``percentage``."""
    enabled: bool | None = None


class FeedbackOption(Payload):
    """One of the account's own cancellation reasons."""

    label: str | None = None


class Membership(OfAccount):
    """A person's access to a product (``mem_…``)."""

    RENAMES: ClassVar[Mapping[str, str]] = {
        "renewal_period_start": "current_period_start",
        "renewal_period_end": "current_period_end",
    }

    status: str | None = None
    """``trialing``, ``active``, ``past_due``, ``completed``, ``canceled``, ``expired``, ``unresolved``,
    ``drafted``, ``canceling``."""
    currency: str | None = None
    """Lowercase ISO 4217 code."""
    initial_price: Money | None = None
    """Charged once, at the start."""
    renewal_price: Money | None = None
    """Charged each period."""
    affiliate: Affiliate | None = None
    affiliate_id: str | None = None
    checkout_configuration_id: str | None = None
    feedback_option: FeedbackOption | None = None
    member: MemberReference | None = None
    member_id: str | None = None
    plan: PlanReference | None = None
    plan_id: str | None = None
    product: ProductReference | None = None
    product_id: str | None = None
    promo_code: Reference | None = None
    promo_code_id: str | None = None
    user: User | None = None
    user_id: str | None = None
    billing_period_days: int | None = None
    cancel_option: str | None = None
    """Why the member canceled: ``too_expensive``, ``switching``, ``missing_features``, ``technical_issues``,
    ``bad_experience``, ``unused``, ``other``, ``testing``."""
    cancellation_reason: str | None = None
    """In the member's own words."""
    collection_method: str | None = None
    """``send_invoice``, ``charge_automatically``."""
    custom_field_responses: Items[CustomFieldResponse] = ()
    license_key: str | None = Field(default=None, repr=False)
    manage_url: str | None = None
    """Where the member manages it."""
    metadata: dict[str, JsonValue] | None = None
    """The seller's own keys and values, set at creation."""
    most_recent_action: str | None = None
    """``canceled_on``, ``finished_split_pay_at``, ``canceling_on``, ``ending_on``, ``renewing_on``,
    ``past_due`` and others."""
    phone_number: str | None = None
    split_pay_current_payments: int | None = None
    """The number of installments paid."""
    split_pay_required_payments: int | None = None
    """The number of installments."""
    cancel_at_period_end: bool | None = None
    """Whether it ends with the paid period instead of renewing."""
    payment_collection_paused: bool | None = None
    created_at: Timestamp | None = None
    canceled_at: Timestamp | None = None
    current_period_end: Timestamp | None = None
    """When it renews or ends."""
    current_period_start: Timestamp | None = None
    expires_at: Timestamp | None = None
    joined_at: Timestamp | None = None
    """When the person became a member of the account."""
    most_recent_action_at: Timestamp | None = None
    renewal_period_end: Timestamp | None = None
    """Older name of ``current_period_end``."""
    renewal_period_start: Timestamp | None = None
    """Older name of ``current_period_start``."""
    updated_at: Timestamp | None = None


class Member(Resource):
    """A person's relationship with an account."""

    status: str | None = None
    """``joined``, ``left``."""
    usd_total_spent: Money | None = None
    """Everything the person has ever paid."""
    account_id: str | None = None
    user: User | None = None
    user_id: str | None = None
    access_level: str | None = None
    """What the member can see: ``no_access``, ``admin``, ``customer``."""
    display_name: str | None = None
    email: str | None = None
    most_recent_action: str | None = None
    """``canceling``, ``churned``, ``finished_split_pay``, ``paused``, ``paid_subscriber``, ``paid_once`` and others."""
    phone_number: str | None = None
    token_balance: float | None = None
    created_at: Timestamp | None = None
    joined_at: Timestamp | None = None
    """When the person became a member of the account."""
    last_accessed_at: Timestamp | None = None
    """When the member last opened the account's content."""
    most_recent_action_at: Timestamp | None = None


class MembershipActivated(Event[Literal["membership.activated"], Membership]):
    """A membership became valid, including on trial or when completed.

    Also sent as ``membership.updated``: handle only one of the two.
    """


class MembershipDeactivated(Event[Literal["membership.deactivated"], Membership]):
    """A membership stopped being valid; Whop's newer documentation points to ``membership.updated`` instead."""


class MembershipTrialEndingSoon(Event[Literal["membership.trial_ending_soon"], Membership]):
    """A trial is about to turn into a charge."""


class MembershipUpdated(Event[Literal["membership.updated"], Membership]):
    """Anything about a membership changed; ``previous_attributes`` has the old values.

    An activation comes as this and as ``membership.activated``, in two deliveries with two
    ids: handle only one of the two.
    """


class MembershipCancelAtPeriodEndChanged(Event[Literal["membership.cancel_at_period_end_changed"], Membership]):
    """A cancellation at the end of the period was scheduled or revoked."""


class MembershipWentValid(Event[Literal["membership.went_valid"], Membership]):
    """The old format's name for ``membership.activated``."""


class MembershipWentInvalid(Event[Literal["membership.went_invalid"], Membership]):
    """The old format's name for ``membership.deactivated``."""


class MembershipMetadataUpdated(Event[Literal["membership.metadata_updated"], Membership]):
    """A membership's metadata changed, such as the device of a license key (old format)."""


class MembershipExperienceClaimed(Event[Literal["membership.experience_claimed"], Membership]):
    """A member claimed an experience (old format)."""


class AppMembershipWentValid(Event[Literal["app_membership.went_valid"], Membership]):
    """A membership at an account that installed the app became valid (old format)."""


class AppMembershipWentInvalid(Event[Literal["app_membership.went_invalid"], Membership]):
    """A membership at an account that installed the app ended (old format)."""


class AppMembershipCancelAtPeriodEndChanged(Event[Literal["app_membership.cancel_at_period_end_changed"], Membership]):
    """A cancellation was scheduled or revoked at an account that installed the app (old format)."""


class AppMembershipWentValidV5(Event[Literal["app.membership_went_valid"], Membership]):
    """The v5 spelling of ``app_membership.went_valid``."""


class AppMembershipWentInvalidV5(Event[Literal["app.membership_went_invalid"], Membership]):
    """The v5 spelling of ``app_membership.went_invalid``."""


class MemberCreated(Event[Literal["member.created"], Member]):
    """A person became a member of the account."""


class MemberUpdated(Event[Literal["member.updated"], Member]):
    """Something about a member changed."""
