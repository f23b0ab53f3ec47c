"""Advertising: campaigns, the groups in them, and single ads."""

from __future__ import annotations

from typing import Literal

from flask_whop.events.envelope import Event
from flask_whop.events.payload import Payload, Resource

__all__ = [
    "Ad",
    "AdCampaign",
    "AdCampaignActivity",
    "AdCampaignCreated",
    "AdCampaignEvents",
    "AdCampaignPaymentFailed",
    "AdCampaignUpdated",
    "AdCreated",
    "AdGroup",
    "AdGroupCreated",
    "AdGroupUpdated",
    "AdUpdated",
]


class AdCampaign(Resource):
    """An advertising campaign."""


class AdGroup(Resource):
    """A group of ads that share audience and schedule."""


class Ad(Resource):
    """A single ad."""


class AdCampaignActivity(Payload):
    """Something that happened in a campaign; Whop publishes no fields for it."""


class AdCampaignCreated(Event[Literal["ad_campaign.created"], AdCampaign]):
    """A campaign was set up."""


class AdCampaignUpdated(Event[Literal["ad_campaign.updated"], AdCampaign]):
    """``status`` or ``delivery_status`` of a campaign changed; ``previous_attributes`` has the old values."""


class AdCampaignPaymentFailed(Event[Literal["ad_campaign.payment_failed"], AdCampaign]):
    """Whop could not collect what a campaign owes."""


class AdCampaignEvents(Event[Literal["ad_campaign.events"], AdCampaignActivity]):
    """Activity of a campaign, whose form Whop does not document."""


class AdGroupCreated(Event[Literal["ad_group.created"], AdGroup]):
    """An ad group was set up."""


class AdGroupUpdated(Event[Literal["ad_group.updated"], AdGroup]):
    """An ad group was edited."""


class AdCreated(Event[Literal["ad.created"], Ad]):
    """An ad was set up."""


class AdUpdated(Event[Literal["ad.updated"], Ad]):
    """``status`` or ``delivery_status`` of an ad changed, after a review for instance.

    ``previous_attributes`` has the old values.
    """
