"""Checks Whop's side: the webhooks that deliver to the app, read back from Whop's API."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from flask_whop.doctor.checkup import catalog
from flask_whop.doctor.finding import Check, Finding
from flask_whop.errors import FlaskWhopError
from flask_whop.events.offers import can_be_subscribed, permission_of
from flask_whop.grammar import counted
from flask_whop.reconcile.plan import events_with_receivers
from flask_whop.reconcile.webhooks import address_of, api_of, same_address, webhooks_at

if TYPE_CHECKING:
    from flask_whop.api.client import WhopApi
    from flask_whop.api.records import Webhook
    from flask_whop.engine.installation import Installation

_LISTED = 5
_CLOCK_OFF = 60.0
_FULL_IDENTITY_UNTIL = "2026-08-14"
_NO_ANSWER = 0


def check_online(
    installation: Installation, *, url: str | None = None, webhook_id: str | None = None, test: str | None = None
) -> Check:
    """Read back the webhooks that deliver to the app; ``test`` is an event of which Whop sends a test delivery."""
    try:
        known = url or installation.api_settings.public_url
        address = address_of(installation, url) if known or not webhook_id else None
        with api_of(installation) as api:
            webhooks = [api.webhook(webhook_id)] if webhook_id else webhooks_at(api, address or "")
            if not webhooks:
                return Check("online", "no webhook", [catalog.W601.of(address=address)])
            findings = [finding for webhook in webhooks for finding in _check(installation, api, webhook, address)]
            findings += _unsubscribed(installation, webhooks)
            findings += _clock(installation, api)
            summary = ", ".join(_described(webhook) for webhook in webhooks)
            if test is not None:
                tested, more = _tested(api, webhooks, test)
                summary, findings = f"{summary}; {tested}", [*findings, *more]
    except FlaskWhopError as error:
        return Check("online", "Whop's API can't be asked", [catalog.W600.of(error=error)])
    return Check("online", summary, findings)


def _described(webhook: Webhook) -> str:
    events = counted(len(webhook.events), "event")
    pin = f"pinned to {webhook.pin}" if webhook.pin else "no pin"
    return f"{webhook.id} ({'enabled' if webhook.enabled else 'disabled'}, {events}, {pin})"


def _check(installation: Installation, api: WhopApi, webhook: Webhook, address: str | None) -> list[Finding]:
    findings = []
    if not webhook.enabled:
        reason = f", since {webhook.disabled_at}: {webhook.disabled_reason}" if webhook.disabled_reason else ""
        findings.append(catalog.W602.of(webhook=webhook.id, reason=reason))
    elif webhook.failing_since:
        failures = webhook.consecutive_failures
        findings.append(catalog.W603.of(webhook=webhook.id, since=webhook.failing_since, count=failures))
    if address is not None and not same_address(webhook.url, address):
        findings.append(catalog.W604.of(webhook=webhook.id, url=webhook.url, address=address))
    if webhook.api_version != "v1":
        findings.append(catalog.W607.of(webhook=webhook.id, version=webhook.api_version))
    received = events_with_receivers(installation.app)
    if unhandled := sorted(set(webhook.events) - received):
        findings.append(catalog.W605.of(webhook=webhook.id, events=_listed(unhandled)))
    return [*findings, *_pin(webhook, received), *_permissions(api, webhook)]


def _pin(webhook: Webhook, received: set[str]) -> list[Finding]:
    """A late pin leaves an identity profile with its id alone."""
    identity = sorted(event for event in set(webhook.events) & received if event.startswith("identity_profile."))
    if webhook.pin is None or webhook.pin < _FULL_IDENTITY_UNTIL or not identity:
        return []
    return [catalog.W608.of(webhook=webhook.id, pin=webhook.pin, events=_listed(identity))]


def _permissions(api: WhopApi, webhook: Webhook) -> list[Finding]:
    """An app's webhook needs a permission for each family, or the fields of its payloads are null."""
    if webhook.resource_id is None or not webhook.resource_id.startswith("app_"):
        return []
    needed = sorted({permission_of(event) for event in webhook.events if can_be_subscribed(event)})
    granted = api.permissions(webhook.resource_id, needed)
    lacking = [permission for permission in needed if granted.get(permission) is False]
    return [catalog.W609.of(app=webhook.resource_id, permissions=", ".join(lacking))] if lacking else []


def _unsubscribed(installation: Installation, webhooks: list[Webhook]) -> list[Finding]:
    """Receivers whose event none of the webhooks delivers."""
    delivered = {event for webhook in webhooks for event in webhook.events}
    received = {event for event in events_with_receivers(installation.app) if can_be_subscribed(event)}
    missing = sorted(received - delivered)
    return [catalog.W606.of(events=_listed(missing))] if missing else []


def _clock(installation: Installation, api: WhopApi) -> list[Finding]:
    try:
        theirs = parsedate_to_datetime(api.date or "").timestamp()
    except (TypeError, ValueError):
        return []
    off = installation.verifier.clock() - theirs
    if abs(off) <= _CLOCK_OFF:
        return []
    difference = f"{abs(off):.0f} seconds {'ahead of' if off > 0 else 'behind'} Whop's"
    return [catalog.W501.of(what=f"By the date of Whop's answer, this machine's clock is {difference}.")]


def _tested(api: WhopApi, webhooks: list[Webhook], event: str) -> tuple[str, list[Finding]]:
    """Have Whop send a test delivery to each webhook that has the event."""
    asked = [webhook for webhook in webhooks if event in webhook.events]
    if not asked:
        return f"no test of {event}, since no webhook is subscribed to it", [catalog.W606.of(events=event)]
    findings = []
    for webhook in asked:
        status, success = api.test(webhook.id, event)
        if not success:
            answer = f"was answered {status}" if status != _NO_ANSWER else "reached nobody"
            findings.append(catalog.W610.of(event=event, webhook=webhook.id, answer=answer))
    return f"test deliveries of {event}: {len(asked) - len(findings)} of {len(asked)} answered 2xx", findings


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
