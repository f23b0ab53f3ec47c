"""Checks the receivers: which there are, and under which names their receipts are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from flask_whop import signals
from flask_whop.doctor.findings import Check, Finding, Level
from flask_whop.engine.installation import Installation
from flask_whop.errors import StoreUnavailable
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
    summary = f"{_counted(len(names), 'receiver')} of {_counted(len(by_event.keys() - {'*'}), 'event')}{unknown}"
    if not by_event:
        return Check("receivers", "none", [_NONE])
    findings: list[Finding] = []
    for about, matches in _NAMES:
        concerned = [name for name in names if matches(name)]
        if concerned:
            findings.append(about(_listed(concerned)))
    return Check("receivers", summary, [*findings, *_orphans(app)])


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
    return [_renamed(_listed(lost))] if lost else []


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_LISTED]) + (" and others" if len(names) > _LISTED else "")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


_NONE = Finding(
    "W401",
    "No receiver is connected.",
    "Deliveries are answered 200, and nothing happens.",
    "Import the modules that connect receivers where the app is made.",
    Level.WARNING,
)


def _lambda(names: str) -> Finding:
    return Finding(
        "W403",
        f"A receiver is a lambda: {names}.",
        "Receipts are kept by name, and all lambdas in a function have the same one.",
        'Give it a name: whop.on(PaymentSucceeded, name="fulfil"), or write a function.',
        Level.WARNING,
    )


def _local(names: str) -> Finding:
    return Finding(
        "W404",
        f"A receiver's name includes the function that defines it: {names}.",
        "Receipts are kept by name: if that function is renamed, a retry or a replay runs the receiver again.",
        "Give it its own name= if its effects must not happen twice.",
        Level.NOTE,
    )


def _renamed(names: str) -> Finding:
    return Finding(
        "W405",
        f"Unfinished deliveries have receipts of receivers that don't exist: {names}.",
        "A receiver that was renamed or moved counts as another one, and runs again for those deliveries.",
        'Give it its former name: @whop.on(…, was="shop:fulfil"). If it was removed, there is nothing to do.',
        Level.WARNING,
    )


_NAMES: Final[Sequence[tuple[Callable[[str], Finding], Callable[[str], bool]]]] = (
    (_lambda, lambda name: "<lambda>" in name),
    (_local, lambda name: "<locals>" in name and "<lambda>" not in name),
)
