"""What to change at Whop, so a webhook delivers what has receivers here."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flask_whop import signals
from flask_whop.errors import SetupError
from flask_whop.events import event_class
from flask_whop.events.offers import SUCCESSORS, can_be_subscribed
from flask_whop.grammar import counted

if TYPE_CHECKING:
    from flask import Flask
    from pydantic import JsonValue

    from flask_whop.api.client import WhopApi
    from flask_whop.api.records import Webhook

_SHOWN = 6


def events_with_receivers(app: Flask) -> set[str]:
    """Return the types of the events that have a receiver in the app."""
    return {event_type for event_type, signal in signals.EVENT_SIGNALS.items() if signal.calls_for(app)}


def handles_unknown(app: Flask) -> bool:
    """Whether the app has a receiver of the events that this release doesn't know."""
    return bool(signals.unknown_event.calls_for(app))


@dataclass(frozen=True)
class Wish:
    """What the webhook should be like; None leaves a field as it is, or as Whop's default."""

    url: str
    events: frozenset[str]
    """All that have receivers."""
    handles_unknown: bool = False
    """Whether events that this release doesn't know have a receiver, too."""
    remove: bool = False
    """Whether to unsubscribe from what has none."""
    let_go: bool = False
    """Whether to lose even events with receivers, if Whop no longer takes their names."""
    enable: bool = False
    """Whether to enable it again if it's disabled."""
    child_events: bool | None = None
    pin: str | None = None
    """A date, or an empty text for no pin."""
    resource_id: str | None = None

    @property
    def subscribable(self) -> set[str]:
        """The events to subscribe to."""
        return {event for event in self.events if can_be_subscribed(event)}

    def handled(self, events: Iterable[str]) -> set[str]:
        """Return those of ``events`` that have a receiver."""
        return {event for event in events if event in self.events or (self.handles_unknown and not event_class(event))}

    def fields(self) -> dict[str, JsonValue]:
        """Return the given fields beside url and events, as the API calls them."""
        fields: dict[str, JsonValue] = {}
        if self.child_events is not None:
            fields["child_resource_events"] = self.child_events
        if self.pin is not None:
            fields["api_version_date"] = self.pin or None
        return fields


@dataclass(frozen=True)
class Plan:
    """What to change at Whop, and what to know about it."""

    url: str
    webhook: Webhook | None
    """The webhook as it is; None if one is to be created."""
    events: tuple[str, ...]
    """What it will be subscribed to."""
    changes: Mapping[str, JsonValue] = field(default_factory=dict)
    """The fields to send, as the API calls them."""
    steps: tuple[str, ...] = ()
    """What will happen, for people."""
    notes: tuple[str, ...] = ()
    """What won't, and why."""

    def apply(self, api: WhopApi) -> Webhook | None:
        """Make the changes; return the webhook, with its secret if it was created, or None if nothing was to do."""
        if self.webhook is None:
            return api.create(self.url, self.events, **self.changes)
        return api.update(self.webhook.id, **self.changes) if self.changes else None


def make_plan(wish: Wish, webhooks: Collection[Webhook]) -> Plan:
    """Compare a wish with the webhooks of its address.

    Raises :class:`~flask_whop.errors.SetupError` if there are several, or if what is wished
    can't be.
    """
    if len(webhooks) > 1:
        listed = ", ".join(f"{hook.id} ({_kind(hook)}, {counted(len(hook.events), 'event')})" for hook in webhooks)
        raise SetupError(f"{len(webhooks)} webhooks deliver to {wish.url}: {listed}. Say which one with --webhook.")
    for webhook in webhooks:
        return _change(wish, webhook)
    return _create(wish)


def _create(wish: Wish) -> Plan:
    events = tuple(sorted(wish.subscribable))
    if not events:
        raise SetupError("No event that Whop offers has a receiver here, so there is nothing to subscribe to.")
    fields = wish.fields()
    if wish.resource_id is not None:
        fields["resource_id"] = wish.resource_id
    details = [f"pinned to {wish.pin}"] if wish.pin else []
    details += ["for the events of connected accounts only"] if wish.child_events else []
    details += [f"for {wish.resource_id}"] if wish.resource_id else []
    step = f"create a webhook for {wish.url}{''.join(f', {detail}' for detail in details)}"
    return Plan(wish.url, None, events, fields, (step, f"subscribe it to {_listed(events)}"), tuple(_notes(wish)))


def _change(wish: Wish, webhook: Webhook) -> Plan:
    if wish.resource_id is not None and wish.resource_id != webhook.resource_id:
        raise SetupError(
            f"{webhook.id} is for {webhook.resource_id}, which can't be changed: create another for {wish.resource_id}."
        )
    present, wanted = set(webhook.events), wish.subscribable
    refused = present & SUCCESSORS.keys()
    missing, others = wanted - present, present - wish.handled(present)
    changes: dict[str, JsonValue] = {}
    steps: list[str] = []
    after = present
    if missing or (wish.remove and others):
        _check_losses(wish, webhook, refused)
        after = (wanted | wish.handled(present) if wish.remove else present | wanted) - refused
        changes["events"] = [*sorted(after)]
        steps += [f"subscribe it to {_listed(sorted(missing))}"] if missing else []
        gone = sorted(present - after)
        steps += [f"unsubscribe it from {_listed(gone)}"] if gone else []
    notes = [*_notes(wish), *_left(webhook, sorted(after - wish.handled(after)))]
    for name, value in wish.fields().items():
        if value != {"child_resource_events": webhook.child_resource_events, "api_version_date": webhook.pin}[name]:
            changes[name] = value
            steps.append(_said(name, value))
    if not webhook.enabled and wish.enable:
        changes["enabled"] = True
        steps.append("enable it again, which resets its failures")
    elif not webhook.enabled:
        reason = f" ({webhook.disabled_reason})" if webhook.disabled_reason else ""
        notes.append(f"{webhook.id} is disabled{reason}, so nothing arrives; --enable enables it again.")
    return Plan(wish.url, webhook, tuple(sorted(after)), changes, tuple(steps), tuple(notes))


def _check_losses(wish: Wish, webhook: Webhook, refused: set[str]) -> None:
    """Raise if a change of the events would lose some that Whop wouldn't take back, and nobody said that it may."""
    handled, others = sorted(wish.handled(refused)), sorted(refused - wish.events)
    if handled and not wish.let_go:
        raise SetupError(
            f"{webhook.id} lists {_listed(handled)}, which have receivers here, and which Whop no longer takes: a"
            " change of its events would lose them for good. Pass --let-go to do so."
        )
    if others and not (wish.remove or wish.let_go):
        raise SetupError(
            f"{webhook.id} lists {_listed(others)}, which Whop no longer takes, so its events can't be changed without"
            " losing these: pass --remove to let go of them."
        )


def _said(name: str, value: JsonValue) -> str:
    if name == "api_version_date":
        return f"pin it to {value}" if value else "remove its pin"
    return f"deliver the events of {'connected accounts only' if value else 'its own account'}"


def _left(webhook: Webhook, extra: Collection[str]) -> Iterator[str]:
    if extra:
        yield f"{webhook.id} is also subscribed to {_listed(extra)}, without a receiver here; --remove unsubscribes it."


def _notes(wish: Wish) -> Iterator[str]:
    """What has a receiver and can't be subscribed to, unless a receiver takes what is sent instead."""
    refused = sorted(wish.events - wish.subscribable - {"shipping_address.changed"})
    gone = [event for event in refused if SUCCESSORS.get(event) is None]
    if gone:
        yield f"No webhook can be subscribed any more to {_listed(gone)}, which have receivers."
    for event in refused:
        if (successor := SUCCESSORS.get(event)) is not None and successor not in wish.events:
            yield f"{event} has a receiver, and is called {successor} now: connect it to that."


def _kind(webhook: Webhook) -> str:
    kinds = [webhook.api_version, f"pinned to {webhook.pin}" if webhook.pin else "no pin"]
    kinds += ["connected accounts"] if webhook.child_resource_events else []
    kinds += [] if webhook.enabled else ["disabled"]
    return ", ".join(kinds)


def _listed(events: Iterable[str]) -> str:
    listed = list(events)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return f"{', '.join(listed[:_SHOWN])}{more}"
