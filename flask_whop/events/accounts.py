"""Accounts: a business on Whop, its profile and its buy-now-pay-later financing."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import JsonValue

from flask_whop.events.envelope import Event
from flask_whop.events.money import Money
from flask_whop.events.parts import File
from flask_whop.events.payload import Items, Payload, Reference
from flask_whop.events.references import AccountReference, User
from flask_whop.events.resource import Linked, Resource
from flask_whop.events.times import Timestamp


class TokenSettlement(Payload):
    """Tokens that become available on one day."""

    amount: Decimal | None = None
    """In units of the token."""
    date: str | None = None
    """A date as text: ``YYYY-MM-DD``."""


class TokenBreakdown(Payload):
    """The parts of a token balance, in units of the token."""

    available: Decimal | None = None
    """Can be spent now."""
    in_transit: Decimal | None = None
    """Moving within the account."""
    pending: Decimal | None = None
    """Not settled yet."""
    pending_settlements: Items[TokenSettlement] = ()
    reserve: Decimal | None = None
    """Held back."""


class TokenBalance(Linked):
    """An account's balance in one currency or token."""

    name: str | None = None
    price_usd: Money | None = None
    """Of one unit."""
    value_usd: Money | None = None
    """Of all units."""
    breakdown: TokenBreakdown | None = None
    balance: Decimal | None = None
    """In units of the token."""
    icon_url: str | None = None
    symbol: str | None = None


class Capabilities(Payload):
    """What an account may do; each field is ``active``, ``inactive`` or ``pending``."""

    accept_bank_payments: str | None = None
    accept_bnpl_payments: str | None = None
    accept_card_payments: str | None = None
    bank_deposit: str | None = None
    card_deposit: str | None = None
    card_issuing: str | None = None
    crypto_deposit: str | None = None
    crypto_payout: str | None = None
    instant_payout: str | None = None
    run_ads: str | None = None
    standard_payout: str | None = None
    transfer: str | None = None


class CardProgram(Payload):
    """The state of an application for cards."""

    status: str | None = None
    """``approved``, ``pending``, ``manual_review``, ``denied``, ``locked``, ``canceled``,
    ``needs_verification``, ``needs_information``."""
    kind: str | None = None
    """Who is verified: ``individual``, ``business``."""


class FormationDocument(Reference):
    """A document of a company in formation."""

    name: str | None = None
    type: str | None = None
    url: str | None = None


class FormationSignature(Payload):
    """A tax form a founder must sign."""

    status: str | None = None
    """``pending``, ``unknown``."""
    url: str | None = None
    expires_at: Timestamp | None = None


class FormationSignatures(Payload):
    """The tax forms founders must sign."""

    form8821: FormationSignature | None = None
    """Form 8821, which lets others see tax data."""
    ss4: FormationSignature | None = None
    """Form SS-4, which asks for the tax number."""


class CompanyFormation(Payload):
    """The state of a company's formation."""

    status: str | None = None
    """``draft``, ``processing``, ``filed``, ``rejected``, ``completed``."""
    signatures: FormationSignatures | None = None
    documents: Items[FormationDocument] = ()
    legal_name: str | None = None
    ein_registered: bool | None = None
    """Whether the tax number (EIN) has been issued."""
    state_registered: bool | None = None
    """Whether the state has registered the company."""


class Financing(Payload):
    """The state of an application for buy-now-pay-later financing."""

    status: str | None = None
    """``requires_collection``, ``awaiting_review``, ``completed``, ``approved``, ``denied``."""
    application_id: str | None = None
    """The financing application (``inrq_…``)."""


class LevelPoints(Payload):
    """This month's points by source."""

    ads: int | None = None
    cards: int | None = None
    trading: int | None = None


class AccountLevel(Payload):
    """An account's level in the rewards program."""

    points_by_source: LevelPoints | None = None
    current: int | None = None
    """0 to 10."""
    points: int | None = None
    points_to_next: int | None = None
    """None at the highest level."""
    boosted: bool | None = None
    """Whether the owner's other accounts raise this level."""
    resets_at: Timestamp | None = None


class ParentFee(Linked):
    """What a platform charges a child account."""

    fixed_fee_usd: Money | None = None
    """Per payment."""
    percentage_fee: float | None = None
    """As a percentage of the payment."""


class ParentAccount(AccountReference):
    """The platform an account belongs to."""

    fees: dict[str, ParentFee] | None = None


class Partner(User):
    """The person who acts as Whop's partner for an account."""

    whop_partner_verified_at: Timestamp | None = None


class DisputeAlertRefunds(Linked):
    """When dispute alerts are refunded automatically."""

    threshold_usd: Money | None = None
    """The largest amount refunded automatically; None if nothing is."""
    locked: bool | None = None
    """Whether the owner can't change it."""


class ReserveTerms(Payload):
    """How much of the sales is held back, and for how long."""

    hold_period_days: int | None = None
    percentage: float | None = None
    """Of sales."""


class CaseRefunds(Linked):
    """When resolution center cases are refunded automatically."""

    card_threshold_usd: Money | None = None
    """The largest card payment refunded automatically."""
    financing_threshold_usd: Money | None = None
    """The largest financed payment refunded automatically."""
    paypal_threshold_usd: Money | None = None
    """The largest PayPal payment refunded automatically."""
    locked: bool | None = None
    """Whether the owner can't change it."""


class WithdrawalSchedule(Payload):
    """When the balance is paid out automatically."""

    day: int | None = None
    """0 (Sunday) to 6 for ``weekly``, 1 to 31 for ``monthly``."""
    frequency: str | None = None
    """``manual``, ``daily``, ``weekly``, ``monthly``."""
    next_payout_date: str | None = None
    """A date as text: ``YYYY-MM-DD``."""


class PaymentControls(Linked):
    """The terms Whop imposes on an account's payments."""

    dispute_alert_fee_usd: Money | None = None
    """Per alert."""
    dispute_alert_auto_refund: DisputeAlertRefunds | None = None
    reserve: ReserveTerms | None = None
    """Held back."""
    resolution_center_auto_refund: CaseRefunds | None = None
    withdrawal_schedule: WithdrawalSchedule | None = None
    high_risk_processing_fee_percentage: float | None = None
    """On top of the usual fee."""
    pending_auto_topup_fee_percentage: float | None = None
    """For topping up cards from the pending balance; 2 is 2%."""
    pending_balance_delay_days: int | None = None
    """How many extra days payments stay pending."""
    restricted_payment_methods: Items[str] = ()
    """``card_visa``, ``card_mastercard``, ``card_american_express``, ``card_discover_global_network``,
    ``addi``, ``affirm`` and others."""
    undated_pending_reason: str | None = None
    """Why pending money without a date doesn't move: ``kyc_incomplete``, ``pending_information_request``,
    ``update_payout_profile``, ``compliance_review``, ``withdrawals_disabled``."""
    enforce_3ds: bool | None = None
    """Whether every card payment needs 3D Secure."""
    financing_disabled: bool | None = None


class AccountAction(Payload):
    """Something an account must or should do."""

    title: str | None = None
    status: str | None = None
    """``optional``, ``required``, ``pending``."""
    action: str | None = None
    """``theme_business``, ``create_product``, ``create_plan``, ``verify_identity``,
    ``connect_affiliate_program``, ``create_promotion`` and others."""
    blocked_capabilities: Items[str] = ()
    """What the account can't do until then."""
    cta: str | None = None
    """Where to do it."""
    cta_label: str | None = None
    """The label of the button."""
    description: str | None = None
    icon_url: str | None = None
    impact_score: int | None = None
    """0 to 100."""
    reasoning: str | None = None
    """Why it is recommended."""


class PartnerReward(Reference):
    """A reward for a partner."""

    status: str | None = None
    """``in_progress``, ``processing``, ``credited``, ``reversing``, ``reversed``, ``unavailable``."""
    qualification_amount: Money | None = None
    """The amount that earns the reward."""
    qualification_progress: Money | None = None
    """The amount reached so far."""
    reward_amount: Money | None = None
    qualification_type: str | None = None
    """What counts: ``sales``, ``ad_spend``."""


class SocialLink(Reference):
    """A link to a profile elsewhere."""

    title: str | None = None
    url: str | None = None
    website: str | None = None
    """Where it leads: ``x``, ``instagram``, ``facebook``, ``tiktok``, ``youtube``, ``linkedin``, ``twitch``,
    ``website``, ``custom``."""


class StorePage(Payload):
    """The look of the store page."""

    accent_color: str | None = None
    """``ruby``, ``tomato``, ``red``, ``crimson``, ``pink``, ``plum`` and others."""
    layout: str | None = None
    """``featured``, ``compact``."""
    profile_variant: str | None = None
    """``personal``, ``business``."""
    whop_affiliate_link: bool | None = None


class TaxIdentifier(Reference):
    """A tax number."""

    tax_id_type: str | None = None
    """The kind of number: ``ad_nrt``, ``ao_tin``, ``ar_cuit``, ``al_tin``, ``am_tin``, ``aw_tin`` and others."""
    tax_id_value: str | None = None


class TradingSubscription(Payload):
    """A message that subscribes to a trading account's live data."""

    channel: str | None = None
    """``clearinghouse_state``, ``open_orders``, ``order_updates``, ``user_fills``, ``user_events``."""
    message: str | None = None
    """Send it as is."""


class HyperliquidAccount(Payload):
    """A trading account at Hyperliquid."""

    address: str | None = None
    websocket_subscriptions: Items[TradingSubscription] = ()
    websocket_url: str | None = None


class TradingAccount(Reference):
    """A trading account."""

    object: str | None = None
    """The kind of object: ``trading_account``."""
    account_id: str | None = None
    hyperliquid: HyperliquidAccount | None = None
    user_id: str | None = None
    provider: str | None = None
    """``hyperliquid``."""


class Wallet(Reference):
    """A crypto wallet."""

    address: str | None = None
    network: str | None = None
    """The blockchain: ``solana``, ``ethereum``, ``bitcoin``."""


class Account(Resource):
    """A business on Whop (``biz_…``); older formats call it a company."""

    title: str | None = None
    status: str | None = None
    ads_spend_usd: Money | None = None
    """All-time ad spend."""
    total_earned_usd: Money | None = None
    """All-time sales."""
    total_usd: Money | None = None
    """The sum of all balances."""
    volume_l30d_usd: Money | None = None
    """Over the last 30 days."""
    volume_usd: Money | None = None
    """All-time sales and transfers."""
    cancellation_policy: File | None = None
    cancellation_policy_id: str | None = None
    capabilities: Capabilities | None = None
    cards: CardProgram | None = None
    collect_vat_id: bool | None = None
    company_formation: CompanyFormation | None = None
    eula: File | None = None
    eula_id: str | None = None
    financing: Financing | None = None
    level: AccountLevel | None = None
    owner: User | None = None
    owner_id: str | None = None
    parent_account: ParentAccount | None = None
    parent_account_id: str | None = None
    partner: Partner | None = None
    partner_id: str | None = None
    payment_controls: PaymentControls | None = None
    privacy_policy: File | None = None
    privacy_policy_id: str | None = None
    return_policy: File | None = None
    return_policy_id: str | None = None
    shipping_policy: File | None = None
    shipping_policy_id: str | None = None
    store_page_config: StorePage | None = None
    terms_of_service: File | None = None
    terms_of_service_id: str | None = None
    trading: TradingAccount | None = None
    trading_id: str | None = None
    wallet: Wallet | None = None
    wallet_id: str | None = None
    balances: Items[TokenBalance] = ()
    banner_image_url: str | None = None
    business_address: dict[str, JsonValue] | None = None
    """For taxes: ``line1``, ``city``, ``postal_code`` and so on."""
    business_name: str | None = None
    business_type: str | None = None
    country: str | None = None
    """Two-letter ISO 3166-1 code."""
    description: str | None = None
    direct_reports_count: int | None = None
    """How many team members report to nobody else."""
    email: str | None = None
    """The owner's."""
    home_preferences: Items[str] = ()
    """``hide_member_count``, ``hide_members_card``."""
    industry_type: str | None = None
    invoice_prefix: str | None = None
    """The prefix of its invoice numbers."""
    logo_url: str | None = None
    metadata: dict[str, JsonValue] | None = None
    """The seller's own keys and values, set at creation."""
    onboarding_type: str | None = None
    """``platform``, ``seller``."""
    opengraph_image_url: str | None = None
    """The picture that links to the store show."""
    opengraph_image_variant: str | None = None
    """``white``, ``black``, ``orange``."""
    other_business_description: str | None = None
    other_industry_description: str | None = None
    platform_credits: Items[Money] = ()
    product_tax_code: dict[str, JsonValue] | None = None
    recommended_actions: Items[AccountAction] = ()
    required_actions: Items[AccountAction] = ()
    """What the account must do to lift a block."""
    rewards: Items[PartnerReward] = ()
    route: str | None = None
    """The last part of its address on whop.com."""
    social_links: Items[SocialLink] = ()
    status_reason: str | None = None
    target_audience: str | None = None
    tax_collection_enabled_states: Items[str] = ()
    tax_identifiers: Items[TaxIdentifier] = ()
    tax_remitted_by: str | None = None
    """Who pays the tax to the state: ``whop``, ``self``, ``none``."""
    tax_type: str | None = None
    """Whether prices include the tax: ``inclusive``, ``exclusive``."""
    three_ds_level: str | None = None
    """When cards need 3D Secure: ``mandate_challenge``, ``mandate_if_required``, ``frictionless_if_required``."""
    verification: dict[str, JsonValue] | None = None
    website: str | None = None
    can_transfer_pending_balance_to_children: bool | None = None
    dispute_fighter_enabled: bool | None = None
    """Whether Whop contests disputes for the account."""
    economic_intelligence: bool | None = None
    orchestration_enabled: bool | None = None
    require_2fa: bool | None = None
    """Whether the team must log in with a second factor."""
    send_customer_emails: bool | None = None
    """Whether Whop emails the customers."""
    show_joined_whops: bool | None = None
    show_reviews_dtc: bool | None = None
    show_user_directory: bool | None = None
    use_logo_as_opengraph_image_fallback: bool | None = None
    created_at: Timestamp | None = None
    whop_partner_enabled_at: Timestamp | None = None


class FinancingChange(Payload):
    """A financing provider's withdrawal from an account; this isn't the account itself."""

    object: str | None = None
    """The kind of object: ``financing_access_change``."""
    reason: str | None = None
    """``high_dispute_rate``."""
    account_id: str | None = None
    disabled_payment_methods: Items[str] = ()
    """Payment methods that buyers can no longer use: ``addi``, ``affirm``, ``afterpay_clearpay``, ``alma``, ``billie``,
    ``capchase_pay`` and others."""
    provider: str | None = None
    """``klarna``, ``splitit``, ``afterpay_clearpay``, ``zip``, ``sezzle``."""
    disabled_at: Timestamp | None = None


class AccountUpdated(Event[Literal["account.updated"], Account]):
    """An account's profile or settings changed; ``previous_attributes`` has the old values."""


class AccountFinancingApproved(Event[Literal["account.financing_approved"], Account]):
    """The account's buyers may now pay later."""


class AccountFinancingDenied(Event[Literal["account.financing_denied"], Account]):
    """The account's application for financing was denied."""


class AccountFinancingDisabled(Event[Literal["account.financing_disabled"], FinancingChange]):
    """A provider stopped financing this account's buyers, for example after many disputes."""
