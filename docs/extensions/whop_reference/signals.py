"""The table of the signals that report what happens to deliveries."""

from __future__ import annotations

from collections.abc import Callable

from flask_whop import signals
from flask_whop.signals.kinds import LifecycleSignal

from whop_reference.text import cell, table

_TOP = """\
# Signals

Every event has a signal, which is named after it and calls its receivers as `receiver(app, event=event)`: see
[Events and payloads](events/index.md). Events of a type that this release doesn't know are sent as `unknown_event`.

The signals below report what happens to deliveries. They can't influence it: what their receivers raise is logged and
goes no further. Each is sent with the app, and with the keywords in its row.

"""


def lifecycle() -> dict[str, LifecycleSignal[Callable[..., object]]]:
    """Return the signals of the page, by their names."""
    return {name: signal for name, signal in vars(signals).items() if isinstance(signal, LifecycleSignal)}


def page() -> str:
    """Return the page."""
    rows = (
        (f"`{name}`", ", ".join(f"`{keyword}`" for keyword in signal._keywords), cell(signal.__doc__ or ""))  # noqa: SLF001  # what it is sent with
        for name, signal in lifecycle().items()
    )
    return _TOP + table(("signal", "sent with", "meaning"), rows) + _BOTTOM


_BOTTOM = """
`rejection.reason` is a value for programs: see [Why requests are rejected](rejections.md). `delivery` has `id`,
`timestamp`, `body` and `secret_index`. Both hold what a sender wrote, so treat them as personal data.
"""
