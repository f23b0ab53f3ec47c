"""Signals as they were found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from blinker import ANY
from flask import Flask

from flask_whop import signals
from flask_whop.config import NAME
from flask_whop.extension import WhopWebhooks
from flask_whop.signals.kinds import AppSignal


@contextmanager
def isolated_signals(*apps: Flask) -> Iterator[None]:
    """Leave the signals as they were found.

    What the block connects for the whole process, or for one of ``apps``, is
    disconnected when it ends, and what it disconnects is connected again. Receivers
    that are tied to other apps are left alone; they go with their app.

    A module that connects receivers when it is imported has to be imported before: it
    runs once, so that nothing would connect them a second time.
    """
    senders = (ANY, *apps)
    before = [(signal, sender, signal.connections(sender)) for signal in _signals() for sender in senders]
    subscribed = [(subscriptions, list(subscriptions)) for subscriptions in map(_subscriptions, apps)]
    try:
        yield
    finally:
        for signal, sender, found in before:
            for receiver_id, connection in signal.connections(sender).items():
                receiver = connection.held()
                # An id may come a second time, after what was held weakly is gone.
                known = receiver_id in found and found[receiver_id].held() == receiver
                if receiver is not None and not known:
                    signal.disconnect(receiver, sender)
        for signal, sender, found in before:
            left = signal.connections(sender)
            for receiver_id, connection in found.items():
                as_before = receiver_id in left and left[receiver_id].terms == connection.terms
                if not as_before and (receiver := connection.held()) is not None:
                    signal.restore(receiver, sender, connection)
        for subscriptions, found_there in subscribed:
            subscriptions[:] = found_there


def _signals() -> list[AppSignal]:
    return [signal for signal in vars(signals).values() if isinstance(signal, AppSignal)]


def _subscriptions(app: Flask) -> list[Any]:
    """What ``whop.on`` was asked for: it would refuse the receiver of a test that runs a second time."""
    extension = app.extensions.get(NAME)
    return extension._subscriptions if isinstance(extension, WhopWebhooks) else []  # noqa: SLF001  # ours, and nobody else's business
