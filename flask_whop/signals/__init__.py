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
from typing import Final

from flask_whop import events
from flask_whop.signals.kinds import EventSignal, UnknownEventSignal
from flask_whop.signals.lifecycle import deliveries_pulled as deliveries_pulled
from flask_whop.signals.lifecycle import delivery_accepted as delivery_accepted
from flask_whop.signals.lifecycle import delivery_answered as delivery_answered
from flask_whop.signals.lifecycle import delivery_dead_lettered as delivery_dead_lettered
from flask_whop.signals.lifecycle import delivery_duplicated as delivery_duplicated
from flask_whop.signals.lifecycle import delivery_processed as delivery_processed
from flask_whop.signals.lifecycle import delivery_received as delivery_received
from flask_whop.signals.lifecycle import delivery_rejected as delivery_rejected
from flask_whop.signals.lifecycle import event_unhandled as event_unhandled
from flask_whop.signals.lifecycle import payload_drifted as payload_drifted
from flask_whop.signals.lifecycle import receiver_called as receiver_called
from flask_whop.signals.lifecycle import receiver_failed as receiver_failed
from flask_whop.signals.lifecycle import rejection_diagnosed as rejection_diagnosed

# accounts
account_updated: EventSignal[events.AccountUpdated] = EventSignal("account.updated")
"""An account's profile or settings changed; ``previous_attributes`` has the old values."""
account_financing_approved: EventSignal[events.AccountFinancingApproved] = EventSignal("account.financing_approved")
"""The account's buyers may now pay later."""
account_financing_denied: EventSignal[events.AccountFinancingDenied] = EventSignal("account.financing_denied")
"""The account's application for financing was denied."""
account_financing_disabled: EventSignal[events.AccountFinancingDisabled] = EventSignal("account.financing_disabled")
"""A provider stopped financing this account's buyers, for example after many disputes."""
# ads
ad_campaign_created: EventSignal[events.AdCampaignCreated] = EventSignal("ad_campaign.created")
"""A campaign was created."""
ad_campaign_updated: EventSignal[events.AdCampaignUpdated] = EventSignal("ad_campaign.updated")
"""A campaign's ``status`` or ``delivery_status`` changed; ``previous_attributes`` has the old values."""
ad_campaign_payment_failed: EventSignal[events.AdCampaignPaymentFailed] = EventSignal("ad_campaign.payment_failed")
"""Whop couldn't collect what a campaign owes."""
ad_campaign_events: EventSignal[events.AdCampaignEvents] = EventSignal("ad_campaign.events")
"""Something happened in a campaign; Whop doesn't document the payload."""
ad_group_created: EventSignal[events.AdGroupCreated] = EventSignal("ad_group.created")
"""An ad group was created."""
ad_group_updated: EventSignal[events.AdGroupUpdated] = EventSignal("ad_group.updated")
"""An ad group was edited."""
ad_created: EventSignal[events.AdCreated] = EventSignal("ad.created")
"""An ad was created."""
ad_updated: EventSignal[events.AdUpdated] = EventSignal("ad.updated")
"""An ad's ``status`` or ``delivery_status`` changed, for example after a review.

``previous_attributes`` has the old values.
"""
# cards
card_application_created: EventSignal[events.CardApplicationCreated] = EventSignal("card_application.created")
"""Somebody applied for a card."""
card_application_updated: EventSignal[events.CardApplicationUpdated] = EventSignal("card_application.updated")
"""A card application changed."""
card_application_approved: EventSignal[events.CardApplicationApproved] = EventSignal("card_application.approved")
"""A card application was approved."""
card_application_denied: EventSignal[events.CardApplicationDenied] = EventSignal("card_application.denied")
"""A card application was denied."""
card_created: EventSignal[events.CardCreated] = EventSignal("card.created")
"""A card was issued."""
card_updated: EventSignal[events.CardUpdated] = EventSignal("card.updated")
"""Something about a card changed."""
card_frozen: EventSignal[events.CardFrozen] = EventSignal("card.frozen")
"""A card was frozen; it can't be used until it's unfrozen."""
card_canceled: EventSignal[events.CardCanceled] = EventSignal("card.canceled")
"""A card was permanently canceled."""
card_transaction_created: EventSignal[events.CardTransactionCreated] = EventSignal("card_transaction.created")
"""A merchant requested a charge to a card."""
card_transaction_updated: EventSignal[events.CardTransactionUpdated] = EventSignal("card_transaction.updated")
"""A card transaction changed."""
card_transaction_completed: EventSignal[events.CardTransactionCompleted] = EventSignal("card_transaction.completed")
"""A card transaction settled."""
card_transaction_declined: EventSignal[events.CardTransactionDeclined] = EventSignal("card_transaction.declined")
"""A card transaction was declined."""
card_transaction_reversed: EventSignal[events.CardTransactionReversed] = EventSignal("card_transaction.reversed")
"""A card transaction was reversed."""
# chat
chat_message_created: EventSignal[events.ChatMessageCreated] = EventSignal("chat.message.created")
"""Somebody posted a message."""
chat_reaction_created: EventSignal[events.ChatReactionCreated] = EventSignal("chat.reaction.created")
"""Somebody reacted to a message."""
# courses
course_lesson_interaction_completed: EventSignal[events.CourseLessonInteractionCompleted] = EventSignal(
    "course_lesson_interaction.completed"
)
"""A student finished a lesson."""
# disputes
dispute_created: EventSignal[events.DisputeCreated] = EventSignal("dispute.created")
"""A buyer's bank opened a chargeback or an inquiry."""
dispute_updated: EventSignal[events.DisputeUpdated] = EventSignal("dispute.updated")
"""A dispute's status or evidence changed."""
dispute_alert_created: EventSignal[events.DisputeAlertCreated] = EventSignal("dispute_alert.created")
"""A bank warned of a dispute before opening it; a refund now may prevent it."""
resolution_center_case_created: EventSignal[events.ResolutionCenterCaseCreated] = EventSignal(
    "resolution_center_case.created"
)
"""A buyer opened a case."""
resolution_center_case_updated: EventSignal[events.ResolutionCenterCaseUpdated] = EventSignal(
    "resolution_center_case.updated"
)
"""A case got a message, or it's now the other side's turn."""
resolution_center_case_decided: EventSignal[events.ResolutionCenterCaseDecided] = EventSignal(
    "resolution_center_case.decided"
)
"""A case was decided."""
resolution_created: EventSignal[events.ResolutionCreated] = EventSignal("resolution.created")
"""The old format's name for ``resolution_center_case.created``."""
resolution_updated: EventSignal[events.ResolutionUpdated] = EventSignal("resolution.updated")
"""The old format's name for ``resolution_center_case.updated``."""
resolution_decided: EventSignal[events.ResolutionDecided] = EventSignal("resolution.decided")
"""The old format's name for ``resolution_center_case.decided``."""
# entries
entry_created: EventSignal[events.EntryCreated] = EventSignal("entry.created")
"""Somebody joined a waitlist."""
entry_approved: EventSignal[events.EntryApproved] = EventSignal("entry.approved")
"""An entry was approved."""
entry_denied: EventSignal[events.EntryDenied] = EventSignal("entry.denied")
"""An entry was denied."""
entry_deleted: EventSignal[events.EntryDeleted] = EventSignal("entry.deleted")
"""An entry was removed from the waitlist."""
# exports
export_completed: EventSignal[events.ExportCompleted] = EventSignal("export.completed")
"""An export is ready to download."""
export_failed: EventSignal[events.ExportFailed] = EventSignal("export.failed")
"""An export failed."""
# identity
identity_profile_needs_action: EventSignal[events.IdentityProfileNeedsAction] = EventSignal(
    "identity_profile.needs_action"
)
"""The person or business must supply something; also sent as ``identity_profile.updated``: handle only one."""
identity_profile_approved: EventSignal[events.IdentityProfileApproved] = EventSignal("identity_profile.approved")
"""The identity was confirmed. Also sent as ``identity_profile.updated``: handle only one."""
identity_profile_rejected: EventSignal[events.IdentityProfileRejected] = EventSignal("identity_profile.rejected")
"""The identity was rejected. Also sent as ``identity_profile.updated``: handle only one."""
identity_profile_updated: EventSignal[events.IdentityProfileUpdated] = EventSignal("identity_profile.updated")
"""Anything about an identity profile changed.

Approvals, rejections and needed actions come as this *and* as their own event, in two
deliveries with two ids: handle each change in only one of the two.
"""
verification_succeeded: EventSignal[events.VerificationSucceeded] = EventSignal("verification.succeeded")
"""One attempt at verification succeeded."""
# invoices
invoice_created: EventSignal[events.InvoiceCreated] = EventSignal("invoice.created")
"""An invoice was created."""
invoice_paid: EventSignal[events.InvoicePaid] = EventSignal("invoice.paid")
"""An invoice was paid."""
invoice_past_due: EventSignal[events.InvoicePastDue] = EventSignal("invoice.past_due")
"""An invoice is still unpaid after its due date."""
invoice_voided: EventSignal[events.InvoiceVoided] = EventSignal("invoice.voided")
"""An invoice was voided."""
invoice_marked_uncollectible: EventSignal[events.InvoiceMarkedUncollectible] = EventSignal(
    "invoice.marked_uncollectible"
)
"""An invoice was written off."""
# ledger
ledger_account_funds_available: EventSignal[events.LedgerAccountFundsAvailable] = EventSignal(
    "ledger_account.funds_available"
)
"""A ledger account's pending funds became available."""
financial_activity_funds_available: EventSignal[events.FinancialActivityFundsAvailable] = EventSignal(
    "financial_activity.funds_available"
)
"""Pending funds with one release date became available; each date is its own event."""
swap_completed: EventSignal[events.SwapCompleted] = EventSignal("swap.completed")
"""A balance was exchanged from one currency or token to another."""
deposit_succeeded: EventSignal[events.DepositSucceeded] = EventSignal("deposit.succeeded")
"""A deposit arrived."""
# memberships
membership_activated: EventSignal[events.MembershipActivated] = EventSignal("membership.activated")
"""A membership became valid, including on trial or when completed.

Also sent as ``membership.updated``: handle only one of the two.
"""
membership_deactivated: EventSignal[events.MembershipDeactivated] = EventSignal("membership.deactivated")
"""A membership stopped being valid; Whop's newer documentation points to ``membership.updated`` instead."""
membership_trial_ending_soon: EventSignal[events.MembershipTrialEndingSoon] = EventSignal(
    "membership.trial_ending_soon"
)
"""A trial is about to turn into a charge."""
membership_updated: EventSignal[events.MembershipUpdated] = EventSignal("membership.updated")
"""Anything about a membership changed; ``previous_attributes`` has the old values.

An activation comes as this and as ``membership.activated``, in two deliveries with two
ids: handle only one of the two.
"""
membership_cancel_at_period_end_changed: EventSignal[events.MembershipCancelAtPeriodEndChanged] = EventSignal(
    "membership.cancel_at_period_end_changed"
)
"""A cancellation at the end of the period was scheduled or revoked."""
membership_went_valid: EventSignal[events.MembershipWentValid] = EventSignal("membership.went_valid")
"""The old format's name for ``membership.activated``."""
membership_went_invalid: EventSignal[events.MembershipWentInvalid] = EventSignal("membership.went_invalid")
"""The old format's name for ``membership.deactivated``."""
membership_metadata_updated: EventSignal[events.MembershipMetadataUpdated] = EventSignal("membership.metadata_updated")
"""A membership's metadata changed, such as the device of a license key (old format)."""
membership_experience_claimed: EventSignal[events.MembershipExperienceClaimed] = EventSignal(
    "membership.experience_claimed"
)
"""A member claimed an experience (old format)."""
app_membership_went_valid: EventSignal[events.AppMembershipWentValid] = EventSignal("app_membership.went_valid")
"""A membership at an account that installed the app became valid (old format)."""
app_membership_went_invalid: EventSignal[events.AppMembershipWentInvalid] = EventSignal("app_membership.went_invalid")
"""A membership at an account that installed the app ended (old format)."""
app_membership_cancel_at_period_end_changed: EventSignal[events.AppMembershipCancelAtPeriodEndChanged] = EventSignal(
    "app_membership.cancel_at_period_end_changed"
)
"""A cancellation was scheduled or revoked at an account that installed the app (old format)."""
app_membership_went_valid_v5: EventSignal[events.AppMembershipWentValidV5] = EventSignal("app.membership_went_valid")
"""The v5 spelling of ``app_membership.went_valid``."""
app_membership_went_invalid_v5: EventSignal[events.AppMembershipWentInvalidV5] = EventSignal(
    "app.membership_went_invalid"
)
"""The v5 spelling of ``app_membership.went_invalid``."""
member_created: EventSignal[events.MemberCreated] = EventSignal("member.created")
"""A person became a member of the account."""
member_updated: EventSignal[events.MemberUpdated] = EventSignal("member.updated")
"""Something about a member changed."""
# payments
payment_created: EventSignal[events.PaymentCreated] = EventSignal("payment.created")
"""A payment was started; no money has moved."""
payment_succeeded: EventSignal[events.PaymentSucceeded] = EventSignal("payment.succeeded")
"""Money was collected, at the first charge and at each renewal. Fulfill orders on this one."""
payment_failed: EventSignal[events.PaymentFailed] = EventSignal("payment.failed")
"""An attempt to collect failed; a later one may succeed."""
payment_pending: EventSignal[events.PaymentPending] = EventSignal("payment.pending")
"""The bank is still collecting."""
payment_requires_action: EventSignal[events.PaymentRequiresAction] = EventSignal("payment.requires_action")
"""The buyer must confirm a charge with the bank; ``recovery_url`` leads there."""
payment_authorized: EventSignal[events.PaymentAuthorized] = EventSignal("payment.authorized")
"""The money is reserved but not collected yet."""
payment_canceled: EventSignal[events.PaymentCanceled] = EventSignal("payment.canceled")
"""A payment was canceled, or reserved money was released."""
payment_affiliate_reward_created: EventSignal[events.PaymentAffiliateRewardCreated] = EventSignal(
    "payment.affiliate_reward_created"
)
"""An affiliate earned a reward for a payment (old format)."""
app_payment_created: EventSignal[events.AppPaymentCreated] = EventSignal("app_payment.created")
"""``payment.created`` at an account that installed the app (old format)."""
app_payment_succeeded: EventSignal[events.AppPaymentSucceeded] = EventSignal("app_payment.succeeded")
"""``payment.succeeded`` at an account that installed the app (old format)."""
app_payment_failed: EventSignal[events.AppPaymentFailed] = EventSignal("app_payment.failed")
"""``payment.failed`` at an account that installed the app (old format)."""
app_payment_pending: EventSignal[events.AppPaymentPending] = EventSignal("app_payment.pending")
"""``payment.pending`` at an account that installed the app (old format)."""
app_payment_requires_action: EventSignal[events.AppPaymentRequiresAction] = EventSignal("app_payment.requires_action")
"""``payment.requires_action`` at an account that installed the app (old format)."""
app_payment_succeeded_v5: EventSignal[events.AppPaymentSucceededV5] = EventSignal("app.payment_succeeded")
"""The v5 spelling of ``app_payment.succeeded``."""
app_payment_failed_v5: EventSignal[events.AppPaymentFailedV5] = EventSignal("app.payment_failed")
"""The v5 spelling of ``app_payment.failed``."""
refund_created: EventSignal[events.RefundCreated] = EventSignal("refund.created")
"""A refund was started."""
refund_updated: EventSignal[events.RefundUpdated] = EventSignal("refund.updated")
"""A refund changed status; it settles some time after it starts."""
setup_intent_succeeded: EventSignal[events.SetupIntentSucceeded] = EventSignal("setup_intent.succeeded")
"""A payment method was saved."""
setup_intent_requires_action: EventSignal[events.SetupIntentRequiresAction] = EventSignal(
    "setup_intent.requires_action"
)
"""The buyer must confirm before the payment method is saved."""
setup_intent_canceled: EventSignal[events.SetupIntentCanceled] = EventSignal("setup_intent.canceled")
"""Saving a payment method was canceled."""
# payouts
payout_created: EventSignal[events.PayoutCreated] = EventSignal("payout.created")
"""A payout was requested."""
payout_updated: EventSignal[events.PayoutUpdated] = EventSignal("payout.updated")
"""A payout changed status."""
payout_reversed: EventSignal[events.PayoutReversed] = EventSignal("payout.reversed")
"""A payout came back after it had arrived."""
withdrawal_created: EventSignal[events.WithdrawalCreated] = EventSignal("withdrawal.created")
"""The older name for ``payout.created``."""
withdrawal_updated: EventSignal[events.WithdrawalUpdated] = EventSignal("withdrawal.updated")
"""The older name for ``payout.updated``."""
withdrawal_reversed: EventSignal[events.WithdrawalReversed] = EventSignal("withdrawal.reversed")
"""The older name for ``payout.reversed``."""
payout_method_created: EventSignal[events.PayoutMethodCreated] = EventSignal("payout_method.created")
"""A destination for payouts was added."""
payout_account_status_updated: EventSignal[events.PayoutAccountStatusUpdated] = EventSignal(
    "payout_account.status_updated"
)
"""A check changed what a payout account may do."""
# products
product_created: EventSignal[events.ProductCreated] = EventSignal("product.created")
"""A product was created."""
product_updated: EventSignal[events.ProductUpdated] = EventSignal("product.updated")
"""A product was edited; ``previous_attributes`` has the old values."""
product_deleted: EventSignal[events.ProductDeleted] = EventSignal("product.deleted")
"""A product was deleted."""
product_published: EventSignal[events.ProductPublished] = EventSignal("product.published")
"""Buyers can now see a product."""
product_unpublished: EventSignal[events.ProductUnpublished] = EventSignal("product.unpublished")
"""Buyers can no longer see a product."""
plan_created: EventSignal[events.PlanCreated] = EventSignal("plan.created")
"""A plan was created."""
plan_updated: EventSignal[events.PlanUpdated] = EventSignal("plan.updated")
"""A plan was edited; ``previous_attributes`` has the old values."""
plan_deleted: EventSignal[events.PlanDeleted] = EventSignal("plan.deleted")
"""A plan was deleted."""
# shipping
shipment_created: EventSignal[events.ShipmentCreated] = EventSignal("shipment.created")
"""An order got a tracking number."""
shipment_updated: EventSignal[events.ShipmentUpdated] = EventSignal("shipment.updated")
"""A parcel's tracking changed; ``previous_attributes`` has the old values."""
shipping_address_changed: EventSignal[events.ShippingAddressChanged] = EventSignal("shipping_address.changed")
"""A buyer changed the address at checkout, and Whop waits for a price: it reads the answer to this event only.

The receiver returns the answer, as a :class:`ShippingQuote` or as a mapping, which
becomes the JSON of the 200. One receiver may answer, and only with
``WHOP_DISPATCH="inline"``, since all other modes answer before it runs. The answer is
kept, so a duplicate gets the same one.
"""
# transfers
transfer_created: EventSignal[events.TransferCreated] = EventSignal("transfer.created")
"""A transfer went through; Whop sends this at success, not at the start."""
transfer_completed: EventSignal[events.TransferCompleted] = EventSignal("transfer.completed")
"""A transfer went through, possibly after a failure."""
transfer_failed: EventSignal[events.TransferFailed] = EventSignal("transfer.failed")
"""A transfer failed; it may still succeed under the same id."""

unknown_event: UnknownEventSignal = UnknownEventSignal()
"""Sent for each event whose type this release doesn't know; ``event.type`` names it."""

EVENT_SIGNALS: Final[Mapping[str, EventSignal[events.AnyEvent]]] = {
    signal.event_type: signal
    for signal in list(globals().values())
    if isinstance(signal, EventSignal) and signal is not unknown_event
}
"""The signal of each event type."""
