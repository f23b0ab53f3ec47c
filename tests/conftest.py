"""What the tests share: a secret, an app, and a sender that plays Whop."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from flask import Flask

from flask_whop import WhopWebhooks
from flask_whop.signals import delivery_rejected, payment_succeeded
from flask_whop.testing import isolated_signals, signed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from werkzeug.test import TestResponse

SECRET = "ws_" + "5b1c9fe07d2a4836" * 4
OTHER_SECRET = "ws_" + "e8a04d7715c3b296" * 4
PATH = "/webhooks/whop"

_ids = count(1)


@dataclass
class Sender:
    """Delivers to an app as Whop does."""

    app: Flask
    secret: str = SECRET

    def deliver(self, event_type: str, data: object = None, **envelope: object) -> TestResponse:
        """Deliver an event of a type; keywords go into the envelope."""
        return self.send(
            {
                "id": f"msg_{next(_ids)}",
                "api_version": "v1",
                "timestamp": "2026-11-02T10:00:00.000Z",
                "type": event_type,
                "company_id": "biz_1",
                "data": {"id": "obj_1"} if data is None else data,
                **envelope,
            }
        )

    def send(self, body: dict[str, object] | bytes, **how: object) -> TestResponse:
        """Deliver a body."""
        return self.app.test_client().post(PATH, buffered=True, **signed(body, self.secret, **how))


@pytest.fixture
def app() -> Flask:
    app = Flask("shop")
    app.config["WHOP_WEBHOOK_SECRET"] = SECRET
    app.config["WHOP_STORE"] = "memory://"
    return app


@pytest.fixture
def whop(app: Flask) -> WhopWebhooks:
    return WhopWebhooks(app)


@pytest.fixture
def sender(app: Flask, whop: WhopWebhooks) -> Sender:
    return Sender(app)


@pytest.fixture
def documented() -> bytes:
    """The payload that Whop documents for identity_profile.needs_action, letter for letter."""
    return (Path(__file__).parents[1] / "examples/identity_desk/documented.json").read_bytes()


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
    with isolated_signals():
        yield
