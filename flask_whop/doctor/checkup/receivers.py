"""The check of the receivers: who listens, and under which names their receipts are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from flask_whop import signals
from flask_whop.doctor.checkup.findings import Check, Finding, note, warning
from flask_whop.engine.installation import Installation
from flask_whop.errors import StoreUnavailable
from flask_whop.signals.app_signal import AppSignal

if TYPE_CHECKING:
    from flask import Flask

_TOLD = 5


def receivers_by_event(app: Flask) -> dict[str, list[str]]:
    """The names of the receivers of ``app``, by event; ``*`` is for the events that are not known."""
    found = {event: [call.name for call in signal.calls_for(app)] for event, signal in signals.EVENT_SIGNALS.items()}
    found["*"] = [call.name for call in signals.unknown_event.calls_for(app)]
    return {event: names for event, names in found.items() if names}


def check_receivers(app: Flask) -> Check:
    """Look who listens, and under which names their receipts are kept."""
    by_event = receivers_by_event(app)
    names = dict.fromkeys(name for several in by_event.values() for name in several)
    unknown = ", and of unknown ones" if "*" in by_event else ""
    summary = f"{_counted(len(names), 'receiver')} of {_counted(len(by_event.keys() - {'*'}), 'event')}{unknown}"
    if not by_event:
        return Check("receivers", "none", [_NOBODY])
    findings: list[Finding] = []
    for about, matches in _NAMES:
        concerned = [name for name in names if matches(name)]
        if concerned:
            findings.append(about(_listed(concerned)))
    return Check("receivers", summary, [*findings, *_nobodys(app)])


def _nobodys(app: Flask) -> list[Finding]:
    """The names in receipts that no receiver has, or had."""
    installation = Installation.of(app)
    try:
        kept = installation.store.receivers(installation.engine.endpoint)
    except StoreUnavailable:
        return []  # the check of the store tells
    every: Sequence[AppSignal] = (*signals.EVENT_SIGNALS.values(), signals.unknown_event)
    known = {name for signal in every for name in signal.names_for(app)}
    lost = sorted(set(kept) - known)
    return [_renamed(_listed(lost))] if lost else []


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_TOLD]) + (" and others" if len(names) > _TOLD else "")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


_NOBODY = warning(
    "W401",
    "No receiver is connected.",
    "Deliveries are answered 200, and nothing happens.",
    "Import the modules that connect receivers where the app is made.",
)


def _nameless(names: str) -> Finding:
    return warning(
        "W403",
        f"A receiver is a lambda: {names}.",
        "Receipts are kept by name, and all lambdas of a function have the same.",
        'Give it a name: whop.on(PaymentSucceeded, name="fulfil"), or write a function.',
    )


def _local(names: str) -> Finding:
    return note(
        "W404",
        f"A receiver is named after the function in which it is defined: {names}.",
        "Receipts are kept by name. When that function is renamed, a retry or a replay runs the receiver again.",
        "Give it a name= of its own, if it has effects that must not come twice.",
    )


def _renamed(names: str) -> Finding:
    return warning(
        "W405",
        f"Deliveries that are not finished have receipts of receivers that are not there: {names}.",
        "A receiver that was renamed or moved is taken for another, and runs again for those deliveries.",
        'Tell its former name: @whop.on(…, was="shop:fulfil"). If it was taken away, there is nothing to do.',
    )


_NAMES: Final[Sequence[tuple[Callable[[str], Finding], Callable[[str], bool]]]] = (
    (_nameless, lambda name: "<lambda>" in name),
    (_local, lambda name: "<locals>" in name and "<lambda>" not in name),
)
