"""Checks the receivers: which there are, and under which names their receipts are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from flask_whop import signals
from flask_whop.doctor.checkup import catalog
from flask_whop.doctor.finding import Check, Finding
from flask_whop.engine.installation import Installation
from flask_whop.errors import StoreUnavailable
from flask_whop.grammar import counted
from flask_whop.signals.app_signal import AppSignal

if TYPE_CHECKING:
    from flask import Flask

_LISTED = 5


def receivers_by_event(app: Flask) -> dict[str, list[str]]:
    """Return the names of the receivers of ``app``, by event; ``*`` stands for unknown events."""
    by_event = {event: [call.name for call in signal.calls_for(app)] for event, signal in signals.EVENT_SIGNALS.items()}
    by_event["*"] = [call.name for call in signals.unknown_event.calls_for(app)]
    return {event: names for event, names in by_event.items() if names}


def check_receivers(app: Flask) -> Check:
    """Check which receivers there are, and under which names their receipts are kept."""
    by_event = receivers_by_event(app)
    names = dict.fromkeys(name for several in by_event.values() for name in several)
    unknown = ", and of unknown ones" if "*" in by_event else ""
    summary = f"{counted(len(names), 'receiver')} of {counted(len(by_event.keys() - {'*'}), 'event')}{unknown}"
    if not by_event:
        return Check("receivers", "none", [catalog.W401])
    findings: list[Finding] = []
    for finding, matches in _NAMES:
        concerned = [name for name in names if matches(name)]
        if concerned:
            findings.append(finding.of(names=_listed(concerned)))
    return Check("receivers", summary, [*findings, *_unheard(app, by_event), *_orphans(app)])


def _unheard(app: Flask, by_event: Mapping[str, Sequence[str]]) -> list[Finding]:
    """The receivers whose answer comes too late."""
    mode, names = Installation.of(app).settings.dispatch, by_event.get("shipping_address.changed", ())
    # A receiver of all events isn't there to answer.
    names = [name for name in names if name not in by_event.get("*", ())]
    return [catalog.W406.of(mode=mode.value, names=_listed(names))] if names and mode.owned else []


def _orphans(app: Flask) -> list[Finding]:
    """The names in receipts that no receiver has or had."""
    installation = Installation.of(app)
    try:
        names = installation.store.receivers(installation.engine.endpoint)
    except StoreUnavailable:
        return []  # the check of the store reports that
    every: Sequence[AppSignal] = (*signals.EVENT_SIGNALS.values(), signals.unknown_event)
    known = {name for signal in every for name in signal.names_for(app)}
    lost = sorted(set(names) - known)
    return [catalog.W405.of(names=_listed(lost))] if lost else []


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_LISTED]) + (" and others" if len(names) > _LISTED else "")


_NAMES: Final[Sequence[tuple[Finding, Callable[[str], bool]]]] = (
    (catalog.W403, lambda name: "<lambda>" in name),
    (catalog.W404, lambda name: "<locals>" in name and "<lambda>" not in name),
)
