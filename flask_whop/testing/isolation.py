"""Signals left as they were found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from blinker import ANY
from flask import Flask

from flask_whop import signals
from flask_whop.engine.installation import Installation
from flask_whop.signals.app_signal import AppSignal


@contextmanager
def isolated_signals(*apps: Flask) -> Iterator[None]:
    """Leave the signals as they were found.

    What the block connects for the whole process, or for one of ``apps``, is
    disconnected when it ends; what it disconnects is connected again. Receivers tied to
    other apps are left alone: they go when their app goes.

    Import modules that connect receivers at import before the block: a module runs
    once, so nothing would connect them a second time.
    """
    senders = (ANY, *apps)
    every = [signal for signal in vars(signals).values() if isinstance(signal, AppSignal)]
    before = [(signal, sender, signal.connections(sender)) for signal in every for sender in senders]
    # What whop.on was asked for: it would refuse the receiver of a test that runs a second time.
    installations = filter(None, map(Installation.find, apps))
    subscribed = [(found.subscriptions, list(found.subscriptions)) for found in installations]
    try:
        yield
    finally:
        for signal, sender, connections in before:
            for receiver_id, connection in signal.connections(sender).items():
                receiver = connection.receiver()
                # An id can come back after a weakly held receiver is gone.
                known = receiver_id in connections and connections[receiver_id].receiver() == receiver
                if receiver is not None and not known:
                    signal.disconnect(receiver, sender)
        for signal, sender, connections in before:
            left = signal.connections(sender)
            for receiver_id, connection in connections.items():
                as_before = receiver_id in left and left[receiver_id].terms == connection.terms
                if not as_before and (receiver := connection.receiver()) is not None:
                    signal.restore(receiver, sender, connection)
        for subscriptions, earlier in subscribed:
            subscriptions[:] = earlier
