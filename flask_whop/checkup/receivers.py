"""The check of the receivers: who listens, and under which names their receipts are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from flask_whop import signals
from flask_whop.checkup.findings import Check, Finding, note, warning

if TYPE_CHECKING:
    from flask import Flask


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
        concerned = [name for name in names if matches(name, by_event)]
        if concerned:
            findings.append(about(", ".join(concerned[:5]) + (" and others" if len(concerned) > 5 else "")))  # noqa: PLR2004
    return Check("receivers", summary, findings)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


_NOBODY = warning(
    "W401",
    "No receiver is connected.",
    "Deliveries are answered 200, and nothing happens.",
    "Import the modules that connect receivers where the app is made.",
)


def _doubled(names: str) -> Finding:
    return warning(
        "W402",
        f"Several receivers of one event share a name: {names}.",
        "Receipts are kept by name. The second is called name#2, by the order in which they are connected; when the"
        " order changes, a retry passes one over and runs the other twice.",
        "Give each a name= of its own. If the same function is connected twice by a factory that runs twice, tie it"
        " to its app: @whop.on(…).",
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


_NAMES: Final[Sequence[tuple[Callable[[str], Finding], Callable[[str, Mapping[str, list[str]]], bool]]]] = (
    (_doubled, lambda name, by_event: any(several.count(name) > 1 for several in by_event.values())),
    (_nameless, lambda name, _: "<lambda>" in name),
    (_local, lambda name, _: "<locals>" in name and "<lambda>" not in name),
)
