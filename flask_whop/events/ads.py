"""Advertising: campaigns, ad groups, and ads."""

from __future__ import annotations

from typing import Literal

from pydantic import JsonValue

from flask_whop.events.envelope import Event
from flask_whop.events.money import Money
from flask_whop.events.payload import Items, Payload, Reference
from flask_whop.events.resource import Resource
from flask_whop.events.times import Timestamp


class PlatformIssue(Reference):
    """A problem the ad platform reports."""

    title: str | None = None
    resource_id: str | None = None
    category: str | None = None
    """``information``, ``warning``, ``error``."""
    message: str | None = None
    resource_type: str | None = None
    """``ad_campaign``, ``ad_group``, ``ad``."""


class AdCampaign(Resource):
    """An advertising campaign."""

    title: str | None = None
    campaign_type: str | None = None
    """``standard``, ``search``."""
    objective: str | None = None
    """``awareness``, ``traffic``, ``engagement``, ``leads``, ``sales``."""
    platform: str | None = None
    """``meta``, ``tiktok``, ``google``."""
    status: str | None = None
    """``active``, ``paused``, ``inactive``, ``stale``, ``pending_refund``, ``payment_failed`` and others."""
    budget_amount: Money | None = None
    """In US dollars; None if each ad group has its own budget."""
    budget_amount_local: Money | None = None
    """``budget_amount`` in ``budget_currency``, at the day's rate."""
    desired_cost_per_result: Money | None = None
    bid_type: str | None = None
    """The bidding strategy: ``minimum_cost``, ``average_target``, ``maximum_target``."""
    budget_currency: str | None = None
    """The currency of ``budget_amount_local`` only."""
    budget_optimization: str | None = None
    """The level that has the budget: ``ad_campaign``, ``ad_group``."""
    budget_type: str | None = None
    """The period the budget covers: ``daily``, ``lifetime``."""
    delivery_status: str | None = None
    """Whether it's being shown, or why not: ``payment_failed``, ``in_appeal``,
    ``all_ads_rejected``, ``draft``, ``no_ad_groups``, ``no_ads`` and others."""
    issues: Items[PlatformIssue] = ()
    optimization_goal: str | None = None
    """The result it aims for."""
    special_ad_categories: Items[str] = ()
    """Categories with special legal rules: ``housing``, ``employment``, ``financial_products``, ``politics``."""
    created_at: Timestamp | None = None
    ends_at: Timestamp | None = None
    starts_at: Timestamp | None = None
    updated_at: Timestamp | None = None


class AdAudiences(Payload):
    """Who should and shouldn't see the ads: ids of saved audiences."""

    exclude: Items[str] = ()
    include: Items[str] = ()


class DeliveryWindow(Payload):
    """A part of a day, in 24-hour time (``HH:00``)."""

    end: str | None = None
    """``24:00`` is midnight."""
    start: str | None = None


class DeliverySchedule(Payload):
    """The hours of the week when ads are shown."""

    friday: Items[DeliveryWindow] = ()
    monday: Items[DeliveryWindow] = ()
    saturday: Items[DeliveryWindow] = ()
    sunday: Items[DeliveryWindow] = ()
    thursday: Items[DeliveryWindow] = ()
    tuesday: Items[DeliveryWindow] = ()
    wednesday: Items[DeliveryWindow] = ()


class Demographics(Payload):
    """The age and gender of the audience."""

    gender: str | None = None
    """``all``, ``male``, ``female``."""
    maximum_age: int | None = None
    minimum_age: int | None = None
    automatic: bool | None = None
    """Whether the platform may go beyond these."""


class TargetingCategory(Reference):
    """A category of people, based on what they do or like."""

    name: str | None = None
    type: str | None = None
    """``life_events``, ``industries``, ``income``, ``family_statuses``, ``work_employers``,
    ``work_positions``, ``education_schools``, ``education_majors``."""
    behavior_type: str | None = None
    """``video``, ``creator``, ``hashtag``."""
    period: int | None = None
    """The number of days of behavior considered."""


class DetailedTargeting(Payload):
    """The categories of people the ads are for; matching one is enough."""

    behaviors: Items[TargetingCategory] = ()
    demographics: Items[TargetingCategory] = ()
    interests: Items[TargetingCategory] = ()


class OperatingSystem(Payload):
    """An operating system and its minimum version."""

    minimum_version: str | None = None
    """Such as ``18.0``."""
    os: str | None = None
    """``ios``, ``android``."""


class Devices(Payload):
    """The devices ads are shown on."""

    operating_systems: Items[OperatingSystem] = ()
    platforms: Items[str] = ()
    """``mobile``, ``desktop``."""


class FrequencyCap(Payload):
    """How often one person sees ads."""

    maximum_impressions: int | None = None
    per_days: int | None = None
    """The length of the window, in days."""


class Keyword(Payload):
    """A search term."""

    match_type: str | None = None
    """How closely a search must match: ``broad``, ``phrase``, ``exact``."""
    text: str | None = None
    negative: bool | None = None
    """Whether it prevents ads from being shown."""


class LearningProgress(Payload):
    """The ad platform's progress in its learning phase."""

    conversion_threshold: int | None = None
    conversions: int | None = None
    progress_percent: float | None = None
    """0 to 100."""


class Placement(Payload):
    """Where on a platform ads are shown."""

    platform: str | None = None
    """``facebook``, ``instagram``, ``messenger``, ``audience_network``, ``threads``, ``whatsapp``."""
    positions: Items[str] = ()
    """Such as ``feed`` or ``story``; empty for all."""


class City(Payload):
    """A city, identified by the ad platform's own key."""

    name: str | None = None
    key: str | None = None


class CustomLocation(Payload):
    """A circle on the map."""

    name: str | None = None
    country_code: str | None = None
    distance_unit: str | None = None
    """The unit of ``radius``."""
    latitude: float | None = None
    longitude: float | None = None
    radius: float | None = None


class GeoLocations(Payload):
    """Places on the map."""

    cities: Items[City] = ()
    countries: Items[str] = ()
    """Two-letter ISO 3166-1 codes."""
    country_groups: Items[str] = ()
    """Such as ``worldwide`` or ``europe``."""
    custom_locations: Items[CustomLocation] = ()
    regions: Items[str] = ()
    """In the ad platform's format."""
    zips: Items[str] = ()
    """Postal codes, in the ad platform's format."""


class AdRegions(Payload):
    """Where ads are and aren't shown."""

    exclude: GeoLocations | None = None
    include: GeoLocations | None = None


class AdGroup(Resource):
    """A group of ads with the same audience and schedule."""

    title: str | None = None
    platform: str | None = None
    """``meta``, ``tiktok``, ``google``."""
    status: str | None = None
    """``active``, ``paused``, ``rejected``, ``duplicating``."""
    budget_amount: Money | None = None
    """In US dollars; None if the campaign has the budget."""
    budget_amount_local: Money | None = None
    """``budget_amount`` in ``budget_currency``, at the day's rate."""
    desired_cost_per_result: Money | None = None
    minimum_daily_spend: Money | None = None
    """The minimum it tries to spend each day."""
    ad_campaign: Reference | None = None
    ad_campaign_id: str | None = None
    audiences: AdAudiences | None = None
    delivery_schedule: DeliverySchedule | None = None
    demographics: Demographics | None = None
    detailed_targeting: DetailedTargeting | None = None
    devices: Devices | None = None
    frequency_cap: FrequencyCap | None = None
    learning_progress: LearningProgress | None = None
    regions: AdRegions | None = None
    bid_type: str | None = None
    """The bidding strategy: ``minimum_cost``, ``average_target``, ``maximum_target``."""
    budget_currency: str | None = None
    """The currency of ``budget_amount_local`` only."""
    budget_type: str | None = None
    """The period the budget covers: ``daily``, ``lifetime``."""
    conversion_event: str | None = None
    """``purchase``, ``add_to_cart``, ``initiated_checkout``, ``add_payment_info``, ``complete_registration``,
    ``lead`` and others."""
    conversion_location: str | None = None
    """Where the conversion happens: ``website``, ``profile``, ``instagram_and_facebook``,
    ``instagram_profile``, ``messaging``, ``on_ad``, ``instant_forms``, ``instant_forms_and_messenger``,
    ``website_and_instant_forms``."""
    delivery_status: str | None = None
    """Whether it's being shown, or why not: ``in_appeal``, ``all_ads_rejected``, ``rejected``,
    ``draft``, ``no_ads``, ``campaign_paused`` and others."""
    issues: Items[PlatformIssue] = ()
    keywords: Items[Keyword] = ()
    languages: Items[str] = ()
    message_apps: Items[str] = ()
    """``messenger``, ``instagram``, ``whatsapp``."""
    optimization_goal: str | None = None
    """The result it aims for: ``conversions``, ``link_clicks``, ``landing_page_views``, ``reach``,
    ``impressions``, ``engagement`` and others."""
    placements: Items[Placement] = ()
    dynamic_creative: bool | None = None
    """Whether the platform combines pictures and texts automatically."""
    created_at: Timestamp | None = None
    ends_at: Timestamp | None = None
    starts_at: Timestamp | None = None
    updated_at: Timestamp | None = None


class CreativeCrop(Payload):
    """The visible part of a picture, in pixels of the original."""

    height: float | None = None
    width: float | None = None
    x: float | None = None
    """The left edge."""
    y: float | None = None
    """The upper edge."""


class Creative(Payload):
    """A picture or a video of an ad."""

    id: str | None = None
    crop: CreativeCrop | None = None
    format: str | None = None
    """``square``, ``vertical``, ``horizontal``."""
    language: str | None = None
    """ISO 639 code."""
    media_type: str | None = None
    url: str | None = None


class AdText(Payload):
    """An ad's text in one language."""

    language: str | None = None
    """ISO 639 code."""
    text: str | None = None


class LeadFormCompletion(Payload):
    """The last screen of a lead form."""

    button_text: str | None = None
    button_type: str | None = None
    """``website``, ``call``, ``download``."""
    description: str | None = None
    file_url: str | None = None
    headline: str | None = None
    phone_number: str | None = None
    url: str | None = None


class LeadFormCheckbox(Payload):
    """A checkbox of a disclaimer."""

    key: str | None = None
    text: str | None = None
    checked_by_default: bool | None = None
    required: bool | None = None


class LeadFormDisclaimer(Payload):
    """What people agree to before they submit a lead form."""

    title: str | None = None
    body: str | None = None
    checkboxes: Items[LeadFormCheckbox] = ()


class LeadFormIntro(Payload):
    """The first screen of a lead form."""

    description: str | None = None
    headline: str | None = None


class LeadFormPrivacyPolicy(Payload):
    """The link to a privacy policy."""

    link_text: str | None = None
    url: str | None = None


class LeadFormLogic(Payload):
    """Where a lead form goes after an answer."""

    action: str | None = None
    """``go_to_question``, ``submit_form``, ``close_form``."""
    target_end_page_index: int | None = None
    """Counted from 0."""
    target_question_index: int | None = None
    """Counted from 0."""


class LeadFormOption(Payload):
    """A possible answer."""

    logic: LeadFormLogic | None = None
    key: str | None = None
    value: str | None = None


class LeadFormQuestion(Payload):
    """One question of a lead form."""

    label: str | None = None
    type: str | None = None
    format: str | None = None
    options: Items[LeadFormOption] = ()


class LeadForm(Payload):
    """A form an ad opens."""

    name: str | None = None
    completion: LeadFormCompletion | None = None
    disclaimer: LeadFormDisclaimer | None = None
    intro: LeadFormIntro | None = None
    privacy_policy: LeadFormPrivacyPolicy | None = None
    form_type: str | None = None
    """``more_volume``, ``higher_intent``."""
    questions: Items[LeadFormQuestion] = ()
    phone_verification: bool | None = None


class MessagingConfig(Payload):
    """How the conversation an ad opens begins."""

    keyword: str | None = None
    """A suggested reply."""
    message: str | None = None


class Music(Reference):
    """The music in an ad."""

    name: str | None = None
    url: str | None = None


class Translations(Payload):
    """The languages of an ad."""

    automatic_languages: Items[str] = ()
    """ISO 639 codes."""
    source_language: str | None = None
    """ISO 639 code."""


class Ad(Resource):
    """A single ad."""

    title: str | None = None
    platform: str | None = None
    """``meta``, ``tiktok``, ``google``."""
    status: str | None = None
    """``active``, ``paused``, ``in_review``, ``rejected``."""
    ad_campaign: Reference | None = None
    ad_campaign_id: str | None = None
    ad_group: Reference | None = None
    ad_group_id: str | None = None
    existing_post_id: str | None = None
    """The promoted post, if any."""
    lead_form: LeadForm | None = None
    lead_form_id: str | None = None
    """The platform's own id for the form."""
    messaging_config: MessagingConfig | None = None
    music: Music | None = None
    music_id: str | None = None
    post_id: str | None = None
    """The platform's own id for the post."""
    translations: Translations | None = None
    call_to_action: str | None = None
    """The label of the button: ``learn_more``, ``shop_now``, ``sign_up``, ``subscribe``, ``get_started``,
    ``book_now`` and others."""
    creatives: Items[Creative] = ()
    delivery_status: str | None = None
    """Whether it's being shown, or why not: ``in_appeal``, ``rejected``, ``in_review``, ``draft``,
    ``campaign_paused``, ``ad_group_paused`` and others."""
    descriptions: Items[AdText] = ()
    external_accounts: Items[Reference] = ()
    headlines: Items[AdText] = ()
    issues: Items[PlatformIssue] = ()
    post_source: str | None = None
    """``facebook``, ``instagram``."""
    post_thumbnail_url: str | None = None
    primary_texts: Items[AdText] = ()
    url: str | None = None
    url_parameters: dict[str, JsonValue] | None = None
    """Parameters appended to ``url``."""
    multi_advertiser_ads: bool | None = None
    """Whether it may appear next to other advertisers' ads."""
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None


class AdCampaignActivity(Payload):
    """Something that happened in a campaign; Whop publishes no fields for it."""


class AdCampaignCreated(Event[Literal["ad_campaign.created"], AdCampaign]):
    """A campaign was created."""


class AdCampaignUpdated(Event[Literal["ad_campaign.updated"], AdCampaign]):
    """A campaign's ``status`` or ``delivery_status`` changed; ``previous_attributes`` has the old values."""


class AdCampaignPaymentFailed(Event[Literal["ad_campaign.payment_failed"], AdCampaign]):
    """Whop couldn't collect what a campaign owes."""


class AdCampaignEvents(Event[Literal["ad_campaign.events"], AdCampaignActivity]):
    """Something happened in a campaign; Whop doesn't document the payload."""


class AdGroupCreated(Event[Literal["ad_group.created"], AdGroup]):
    """An ad group was created."""


class AdGroupUpdated(Event[Literal["ad_group.updated"], AdGroup]):
    """An ad group was edited."""


class AdCreated(Event[Literal["ad.created"], Ad]):
    """An ad was created."""


class AdUpdated(Event[Literal["ad.updated"], Ad]):
    """An ad's ``status`` or ``delivery_status`` changed, for example after a review.

    ``previous_attributes`` has the old values.
    """
