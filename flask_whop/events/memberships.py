"""Memberships, and the people who hold them."""

from __future__ import annotations

from typing import Literal

from flask_whop.events.envelope import Event
from flask_whop.events.payload import Resource

__all__ = [
    "AppMembershipCancelAtPeriodEndChanged",
    "AppMembershipWentInvalid",
    "AppMembershipWentInvalidV5",
    "AppMembershipWentValid",
    "AppMembershipWentValidV5",
    "Member",
    "MemberCreated",
    "MemberUpdated",
    "Membership",
    "MembershipActivated",
    "MembershipCancelAtPeriodEndChanged",
    "MembershipDeactivated",
    "MembershipExperienceClaimed",
    "MembershipMetadataUpdated",
    "MembershipTrialEndingSoon",
    "MembershipUpdated",
    "MembershipWentInvalid",
    "MembershipWentValid",
]


class Membership(Resource):
    """A person's access to a product."""


class Member(Resource):
    """A person's relation to an account."""


class MembershipActivated(Event[Literal["membership.activated"], Membership]):
    """A membership became valid, also on trial or when completed.

    Whop delivers the same change as ``membership.updated`` too: handle it in one
    of the two.
    """


class MembershipDeactivated(Event[Literal["membership.deactivated"], Membership]):
    """A membership stopped being valid.

    Whop's newer documentation leads to ``membership.updated`` instead.
    """


class MembershipTrialEndingSoon(Event[Literal["membership.trial_ending_soon"], Membership]):
    """A trial is about to turn into a charge."""


class MembershipUpdated(Event[Literal["membership.updated"], Membership]):
    """Anything about a membership changed; ``previous_attributes`` has the old values.

    An activation comes as this and as ``membership.activated``, in two deliveries
    with two ids: handle it in one of the two.
    """


class MembershipCancelAtPeriodEndChanged(Event[Literal["membership.cancel_at_period_end_changed"], Membership]):
    """A cancellation at the end of the period was scheduled or taken back."""


class MembershipWentValid(Event[Literal["membership.went_valid"], Membership]):
    """The old format's name for ``membership.activated``."""


class MembershipWentInvalid(Event[Literal["membership.went_invalid"], Membership]):
    """The old format's name for ``membership.deactivated``."""


class MembershipMetadataUpdated(Event[Literal["membership.metadata_updated"], Membership]):
    """The metadata of a membership changed, such as the device of a licence key (old format)."""


class MembershipExperienceClaimed(Event[Literal["membership.experience_claimed"], Membership]):
    """A member claimed an experience (old format)."""


class AppMembershipWentValid(Event[Literal["app_membership.went_valid"], Membership]):
    """A membership of an account that installed the app became valid (old format)."""


class AppMembershipWentInvalid(Event[Literal["app_membership.went_invalid"], Membership]):
    """A membership of an account that installed the app ended (old format)."""


class AppMembershipCancelAtPeriodEndChanged(Event[Literal["app_membership.cancel_at_period_end_changed"], Membership]):
    """A cancellation was scheduled or taken back at an account that installed the app (old format)."""


class AppMembershipWentValidV5(Event[Literal["app.membership_went_valid"], Membership]):
    """The v5 spelling of ``app_membership.went_valid``."""


class AppMembershipWentInvalidV5(Event[Literal["app.membership_went_invalid"], Membership]):
    """The v5 spelling of ``app_membership.went_invalid``."""


class MemberCreated(Event[Literal["member.created"], Member]):
    """A person became a member of the account."""


class MemberUpdated(Event[Literal["member.updated"], Member]):
    """Something about a member changed."""
