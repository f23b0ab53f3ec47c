"""What the tests share: an app, a sender, and signals that are left as found."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest
from flask import Flask
from hypothesis import settings

from flask_whop import WhopWebhooks, signals
from flask_whop.signals import delivery_rejected, payment_succeeded
from flask_whop.signals.app_signal import AppSignal
from flask_whop.testing import isolated_signals
from tests import ROOT
from tests.shop import Sender, new_app

if TYPE_CHECKING:
    from collections.abc import Iterator


settings.register_profile("flask_whop", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("flask_whop")


@pytest.fixture
def app() -> Flask:
    return new_app(WHOP_STORE="memory://")


@pytest.fixture
def whop(app: Flask) -> WhopWebhooks:
    return WhopWebhooks(app)


@pytest.fixture
def sender(app: Flask, whop: WhopWebhooks) -> Sender:
    return Sender(app)


@pytest.fixture
def documented() -> bytes:
    """The payload that Whop documents for identity_profile.needs_action, letter for letter."""
    return (ROOT / "tests/documented.json").read_bytes()


@pytest.fixture
def calls():
    """The events that reached a receiver."""
    events = []
    payment_succeeded.connect(lambda app, event: events.append(event))
    return events


@pytest.fixture
def reasons():
    """Why requests were rejected."""
    found = []
    delivery_rejected.connect(lambda app, rejection: found.append(rejection.reason.value))
    return found


def pytest_collection_finish() -> None:
    """Spare what has been imported by now from each of the collections below, which take their time else."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _signals_are_left_as_found() -> Iterator[None]:
    """Disconnect what a test has connected to the signals of the whole process."""
    every = [signal for signal in vars(signals).values() if isinstance(signal, AppSignal)]
    before = sum(len(signal.receivers) for signal in every)
    with isolated_signals():
        yield
    if sum(len(signal.receivers) for signal in every) > before:
        gc.collect()  # the receivers of an app go with the app
