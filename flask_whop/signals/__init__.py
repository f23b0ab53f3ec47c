"""Every signal, written out: one for each event, then those that report what happens to deliveries.

::

    from flask_whop.signals import payment_succeeded

    @payment_succeeded.connect
    def fulfil(app, event, **extra): ...

All receivers of an event run, each on its own. One that returns has succeeded and isn't
called with this event again; one that raises is called again by the retry.

Each line states its event twice, as an annotation and as a name: ``EventSignal(events.X)``
would infer the annotation, but import every family of events with this module, which takes
as long as all the rest. A test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Protocol

from flask_whop import events
from flask_whop.signals.kinds import EventSignal, LifecycleSignal, UnknownEventSignal

if TYPE_CHECKING:
    from flask import Flask

    from flask_whop.doctor.finding import Finding
    from flask_whop.errors import Rejected
    from flask_whop.signature import Delivery

# accounts
account_updated: EventSignal[events.AccountUpdated] = EventSignal("account.updated")
account_financing_approved: EventSignal[events.AccountFinancingApproved] = EventSignal("account.financing_approved")
account_financing_denied: EventSignal[events.AccountFinancingDenied] = EventSignal("account.financing_denied")
account_financing_disabled: EventSignal[events.AccountFinancingDisabled] = EventSignal("account.financing_disabled")
# ads
ad_campaign_created: EventSignal[events.AdCampaignCreated] = EventSignal("ad_campaign.created")
ad_campaign_updated: EventSignal[events.AdCampaignUpdated] = EventSignal("ad_campaign.updated")
ad_campaign_payment_failed: EventSignal[events.AdCampaignPaymentFailed] = EventSignal("ad_campaign.payment_failed")
ad_campaign_events: EventSignal[events.AdCampaignEvents] = EventSignal("ad_campaign.events")
ad_group_created: EventSignal[events.AdGroupCreated] = EventSignal("ad_group.created")
ad_group_updated: EventSignal[events.AdGroupUpdated] = EventSignal("ad_group.updated")
ad_created: EventSignal[events.AdCreated] = EventSignal("ad.created")
ad_updated: EventSignal[events.AdUpdated] = EventSignal("ad.updated")
# cards
card_application_created: EventSignal[events.CardApplicationCreated] = EventSignal("card_application.created")
card_application_updated: EventSignal[events.CardApplicationUpdated] = EventSignal("card_application.updated")
card_application_approved: EventSignal[events.CardApplicationApproved] = EventSignal("card_application.approved")
card_application_denied: EventSignal[events.CardApplicationDenied] = EventSignal("card_application.denied")
card_created: EventSignal[events.CardCreated] = EventSignal("card.created")
card_updated: EventSignal[events.CardUpdated] = EventSignal("card.updated")
card_frozen: EventSignal[events.CardFrozen] = EventSignal("card.frozen")
card_canceled: EventSignal[events.CardCanceled] = EventSignal("card.canceled")
card_transaction_created: EventSignal[events.CardTransactionCreated] = EventSignal("card_transaction.created")
card_transaction_updated: EventSignal[events.CardTransactionUpdated] = EventSignal("card_transaction.updated")
card_transaction_completed: EventSignal[events.CardTransactionCompleted] = EventSignal("card_transaction.completed")
card_transaction_declined: EventSignal[events.CardTransactionDeclined] = EventSignal("card_transaction.declined")
card_transaction_reversed: EventSignal[events.CardTransactionReversed] = EventSignal("card_transaction.reversed")
# chat
chat_message_created: EventSignal[events.ChatMessageCreated] = EventSignal("chat.message.created")
chat_reaction_created: EventSignal[events.ChatReactionCreated] = EventSignal("chat.reaction.created")
# courses
course_lesson_interaction_completed: EventSignal[events.CourseLessonInteractionCompleted] = EventSignal(
    "course_lesson_interaction.completed"
)
# disputes
dispute_created: EventSignal[events.DisputeCreated] = EventSignal("dispute.created")
dispute_updated: EventSignal[events.DisputeUpdated] = EventSignal("dispute.updated")
dispute_alert_created: EventSignal[events.DisputeAlertCreated] = EventSignal("dispute_alert.created")
resolution_center_case_created: EventSignal[events.ResolutionCenterCaseCreated] = EventSignal(
    "resolution_center_case.created"
)
resolution_center_case_updated: EventSignal[events.ResolutionCenterCaseUpdated] = EventSignal(
    "resolution_center_case.updated"
)
resolution_center_case_decided: EventSignal[events.ResolutionCenterCaseDecided] = EventSignal(
    "resolution_center_case.decided"
)
resolution_created: EventSignal[events.ResolutionCreated] = EventSignal("resolution.created")
resolution_updated: EventSignal[events.ResolutionUpdated] = EventSignal("resolution.updated")
resolution_decided: EventSignal[events.ResolutionDecided] = EventSignal("resolution.decided")
# entries
entry_created: EventSignal[events.EntryCreated] = EventSignal("entry.created")
entry_approved: EventSignal[events.EntryApproved] = EventSignal("entry.approved")
entry_denied: EventSignal[events.EntryDenied] = EventSignal("entry.denied")
entry_deleted: EventSignal[events.EntryDeleted] = EventSignal("entry.deleted")
# exports
export_completed: EventSignal[events.ExportCompleted] = EventSignal("export.completed")
export_failed: EventSignal[events.ExportFailed] = EventSignal("export.failed")
# identity
identity_profile_needs_action: EventSignal[events.IdentityProfileNeedsAction] = EventSignal(
    "identity_profile.needs_action"
)
identity_profile_approved: EventSignal[events.IdentityProfileApproved] = EventSignal("identity_profile.approved")
identity_profile_rejected: EventSignal[events.IdentityProfileRejected] = EventSignal("identity_profile.rejected")
identity_profile_updated: EventSignal[events.IdentityProfileUpdated] = EventSignal("identity_profile.updated")
verification_succeeded: EventSignal[events.VerificationSucceeded] = EventSignal("verification.succeeded")
# invoices
invoice_created: EventSignal[events.InvoiceCreated] = EventSignal("invoice.created")
invoice_paid: EventSignal[events.InvoicePaid] = EventSignal("invoice.paid")
invoice_past_due: EventSignal[events.InvoicePastDue] = EventSignal("invoice.past_due")
invoice_voided: EventSignal[events.InvoiceVoided] = EventSignal("invoice.voided")
invoice_marked_uncollectible: EventSignal[events.InvoiceMarkedUncollectible] = EventSignal(
    "invoice.marked_uncollectible"
)
# ledger
ledger_account_funds_available: EventSignal[events.LedgerAccountFundsAvailable] = EventSignal(
    "ledger_account.funds_available"
)
financial_activity_funds_available: EventSignal[events.FinancialActivityFundsAvailable] = EventSignal(
    "financial_activity.funds_available"
)
swap_completed: EventSignal[events.SwapCompleted] = EventSignal("swap.completed")
deposit_succeeded: EventSignal[events.DepositSucceeded] = EventSignal("deposit.succeeded")
# memberships
membership_activated: EventSignal[events.MembershipActivated] = EventSignal("membership.activated")
membership_deactivated: EventSignal[events.MembershipDeactivated] = EventSignal("membership.deactivated")
membership_trial_ending_soon: EventSignal[events.MembershipTrialEndingSoon] = EventSignal(
    "membership.trial_ending_soon"
)
membership_updated: EventSignal[events.MembershipUpdated] = EventSignal("membership.updated")
membership_cancel_at_period_end_changed: EventSignal[events.MembershipCancelAtPeriodEndChanged] = EventSignal(
    "membership.cancel_at_period_end_changed"
)
membership_went_valid: EventSignal[events.MembershipWentValid] = EventSignal("membership.went_valid")
membership_went_invalid: EventSignal[events.MembershipWentInvalid] = EventSignal("membership.went_invalid")
membership_metadata_updated: EventSignal[events.MembershipMetadataUpdated] = EventSignal("membership.metadata_updated")
membership_experience_claimed: EventSignal[events.MembershipExperienceClaimed] = EventSignal(
    "membership.experience_claimed"
)
app_membership_went_valid: EventSignal[events.AppMembershipWentValid] = EventSignal("app_membership.went_valid")
app_membership_went_invalid: EventSignal[events.AppMembershipWentInvalid] = EventSignal("app_membership.went_invalid")
app_membership_cancel_at_period_end_changed: EventSignal[events.AppMembershipCancelAtPeriodEndChanged] = EventSignal(
    "app_membership.cancel_at_period_end_changed"
)
app_membership_went_valid_v5: EventSignal[events.AppMembershipWentValidV5] = EventSignal("app.membership_went_valid")
app_membership_went_invalid_v5: EventSignal[events.AppMembershipWentInvalidV5] = EventSignal(
    "app.membership_went_invalid"
)
member_created: EventSignal[events.MemberCreated] = EventSignal("member.created")
member_updated: EventSignal[events.MemberUpdated] = EventSignal("member.updated")
# payments
payment_created: EventSignal[events.PaymentCreated] = EventSignal("payment.created")
payment_succeeded: EventSignal[events.PaymentSucceeded] = EventSignal("payment.succeeded")
payment_failed: EventSignal[events.PaymentFailed] = EventSignal("payment.failed")
payment_pending: EventSignal[events.PaymentPending] = EventSignal("payment.pending")
payment_requires_action: EventSignal[events.PaymentRequiresAction] = EventSignal("payment.requires_action")
payment_authorized: EventSignal[events.PaymentAuthorized] = EventSignal("payment.authorized")
payment_canceled: EventSignal[events.PaymentCanceled] = EventSignal("payment.canceled")
payment_affiliate_reward_created: EventSignal[events.PaymentAffiliateRewardCreated] = EventSignal(
    "payment.affiliate_reward_created"
)
app_payment_created: EventSignal[events.AppPaymentCreated] = EventSignal("app_payment.created")
app_payment_succeeded: EventSignal[events.AppPaymentSucceeded] = EventSignal("app_payment.succeeded")
app_payment_failed: EventSignal[events.AppPaymentFailed] = EventSignal("app_payment.failed")
app_payment_pending: EventSignal[events.AppPaymentPending] = EventSignal("app_payment.pending")
app_payment_requires_action: EventSignal[events.AppPaymentRequiresAction] = EventSignal("app_payment.requires_action")
app_payment_succeeded_v5: EventSignal[events.AppPaymentSucceededV5] = EventSignal("app.payment_succeeded")
app_payment_failed_v5: EventSignal[events.AppPaymentFailedV5] = EventSignal("app.payment_failed")
refund_created: EventSignal[events.RefundCreated] = EventSignal("refund.created")
refund_updated: EventSignal[events.RefundUpdated] = EventSignal("refund.updated")
setup_intent_succeeded: EventSignal[events.SetupIntentSucceeded] = EventSignal("setup_intent.succeeded")
setup_intent_requires_action: EventSignal[events.SetupIntentRequiresAction] = EventSignal(
    "setup_intent.requires_action"
)
setup_intent_canceled: EventSignal[events.SetupIntentCanceled] = EventSignal("setup_intent.canceled")
# payouts
payout_created: EventSignal[events.PayoutCreated] = EventSignal("payout.created")
payout_updated: EventSignal[events.PayoutUpdated] = EventSignal("payout.updated")
payout_reversed: EventSignal[events.PayoutReversed] = EventSignal("payout.reversed")
withdrawal_created: EventSignal[events.WithdrawalCreated] = EventSignal("withdrawal.created")
withdrawal_updated: EventSignal[events.WithdrawalUpdated] = EventSignal("withdrawal.updated")
withdrawal_reversed: EventSignal[events.WithdrawalReversed] = EventSignal("withdrawal.reversed")
payout_method_created: EventSignal[events.PayoutMethodCreated] = EventSignal("payout_method.created")
payout_account_status_updated: EventSignal[events.PayoutAccountStatusUpdated] = EventSignal(
    "payout_account.status_updated"
)
# products
product_created: EventSignal[events.ProductCreated] = EventSignal("product.created")
product_updated: EventSignal[events.ProductUpdated] = EventSignal("product.updated")
product_deleted: EventSignal[events.ProductDeleted] = EventSignal("product.deleted")
product_published: EventSignal[events.ProductPublished] = EventSignal("product.published")
product_unpublished: EventSignal[events.ProductUnpublished] = EventSignal("product.unpublished")
plan_created: EventSignal[events.PlanCreated] = EventSignal("plan.created")
plan_updated: EventSignal[events.PlanUpdated] = EventSignal("plan.updated")
plan_deleted: EventSignal[events.PlanDeleted] = EventSignal("plan.deleted")
# shipping
shipment_created: EventSignal[events.ShipmentCreated] = EventSignal("shipment.created")
shipment_updated: EventSignal[events.ShipmentUpdated] = EventSignal("shipment.updated")
shipping_address_changed: EventSignal[events.ShippingAddressChanged] = EventSignal("shipping_address.changed")
# transfers
transfer_created: EventSignal[events.TransferCreated] = EventSignal("transfer.created")
transfer_completed: EventSignal[events.TransferCompleted] = EventSignal("transfer.completed")
transfer_failed: EventSignal[events.TransferFailed] = EventSignal("transfer.failed")

unknown_event: UnknownEventSignal = UnknownEventSignal()
"""Sent for each event whose type this release doesn't know; ``event.type`` names it."""

EVENT_SIGNALS: Final[Mapping[str, EventSignal[events.AnyEvent]]] = {
    signal.event_type: signal
    for signal in list(globals().values())
    if isinstance(signal, EventSignal) and signal is not unknown_event
}
"""The signal of each event type."""


class DeliveryReceiver(Protocol):
    """Receives ``delivery_received``."""

    def __call__(self, app: Flask, /, *, delivery: Delivery) -> object:
        """Note ``delivery``."""
        ...


class RejectionReceiver(Protocol):
    """Receives ``delivery_rejected``."""

    def __call__(self, app: Flask, /, *, rejection: Rejected) -> object:
        """Note ``rejection``; ``rejection.reason`` is for programs to read."""
        ...


class DiagnosisReceiver(Protocol):
    """Receives ``rejection_diagnosed``."""

    def __call__(self, app: Flask, /, *, rejection: Rejected, finding: Finding) -> object:
        """Note the ``finding``, which says what is wrong, why it matters, and how to fix it."""
        ...


class EventDeliveryReceiver(Protocol):
    """Receives ``delivery_accepted``, ``…_processed``, ``…_duplicated`` and ``…_dead_lettered``."""

    def __call__(self, app: Flask, /, *, delivery: Delivery, event: events.AnyEvent) -> object:
        """Note ``delivery``, which carried ``event``."""
        ...


class FailureReceiver(Protocol):
    """Receives ``receiver_failed``."""

    def __call__(self, app: Flask, /, *, event: events.AnyEvent, receiver: str, error: Exception) -> object:
        """Note ``error``, raised by the receiver named ``receiver``."""
        ...


class EventReceiver(Protocol):
    """Receives ``event_unhandled`` and ``payload_drifted``."""

    def __call__(self, app: Flask, /, *, event: events.AnyEvent) -> object:
        """Note ``event``."""
        ...


class CallReceiver(Protocol):
    """Receives ``receiver_called``."""

    def __call__(self, app: Flask, /, *, event: events.AnyEvent, receiver: str, outcome: str, seconds: float) -> object:
        """Note how the receiver ended: ``done``, ``skipped``, ``failed``, ``retry_later`` or ``given_up``."""
        ...


class AnswerReceiver(Protocol):
    """Receives ``delivery_answered``."""

    def __call__(self, app: Flask, /, *, outcome: str, code: int, seconds: float) -> object:
        """Note the answer to a request: its HTTP status, and the outcome as the log has it."""
        ...


class PullReceiver(Protocol):
    """Receives ``deliveries_pulled``."""

    def __call__(self, app: Flask, /, *, webhook_id: str, found: int) -> object:
        """Note how many deliveries of the webhook were ``found`` that hadn't arrived or weren't finished."""
        ...


delivery_received: LifecycleSignal[DeliveryReceiver] = LifecycleSignal(
    "delivery_received",
    ("delivery",),
    "Sent when a delivery is verified, by its signature or by the channel that it was pulled through.",
)
delivery_rejected: LifecycleSignal[RejectionReceiver] = LifecycleSignal(
    "delivery_rejected", ("rejection",), "Sent for each request that isn't a delivery for this app."
)
rejection_diagnosed: LifecycleSignal[DiagnosisReceiver] = LifecycleSignal(
    "rejection_diagnosed",
    ("rejection", "finding"),
    "Sent after the answer, when the doctor knows why a request couldn't be verified; at most once a second.",
)
delivery_accepted: LifecycleSignal[EventDeliveryReceiver] = LifecycleSignal(
    "delivery_accepted", ("delivery", "event"), "Sent when a delivery is stored and owned: its retry is ours."
)
delivery_processed: LifecycleSignal[EventDeliveryReceiver] = LifecycleSignal(
    "delivery_processed", ("delivery", "event"), "Sent when every receiver is done with the event of a delivery."
)
delivery_duplicated: LifecycleSignal[EventDeliveryReceiver] = LifecycleSignal(
    "delivery_duplicated",
    ("delivery", "event"),
    "Sent for a delivery that is finished or owned already, or still running.",
)
delivery_dead_lettered: LifecycleSignal[EventDeliveryReceiver] = LifecycleSignal(
    "delivery_dead_lettered", ("delivery", "event"), "Sent when a receiver has run out of retries."
)
delivery_answered: LifecycleSignal[AnswerReceiver] = LifecycleSignal(
    "delivery_answered", ("outcome", "code", "seconds"), "Sent for each request to the route, when its answer is known."
)
receiver_called: LifecycleSignal[CallReceiver] = LifecycleSignal(
    "receiver_called",
    ("event", "receiver", "outcome", "seconds"),
    "Sent for each receiver that an event was for, when it has ended or been skipped.",
)
receiver_failed: LifecycleSignal[FailureReceiver] = LifecycleSignal(
    "receiver_failed", ("event", "receiver", "error"), "Sent for each receiver that raised."
)
event_unhandled: LifecycleSignal[EventReceiver] = LifecycleSignal(
    "event_unhandled", ("event",), "Sent for each event that has no receiver in the app."
)
deliveries_pulled: LifecycleSignal[PullReceiver] = LifecycleSignal(
    "deliveries_pulled", ("webhook_id", "found"), "Sent after each pull from Whop's delivery log."
)
payload_drifted: LifecycleSignal[EventReceiver] = LifecycleSignal(
    "payload_drifted", ("event",), "Sent when a payload doesn't fit its model; ``event.drift`` names the fields."
)
