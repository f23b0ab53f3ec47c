"""Two apps of one name and one store are noticed, since each takes the other's work; a rotation is none of that."""

from __future__ import annotations

import json
from functools import partial
from itertools import count

import pytest
from flask import Flask

from flask_whop import WhopWebhooks
from tests.shop import OTHER_SECRET, SECRET, Sender
from tests.stores import DURABLE, opened

THIRD_SECRET = "ws_" + "09f2c7ab51e86d34" * 4


@pytest.fixture(params=DURABLE)
def start(request, tmp_path):
    """Start an app called ``app``, and deliver to it; all of them have one store."""
    numbers = count()
    host = Flask("host", instance_path=str(tmp_path))
    with opened(request.param, host) as store:

        def start(secrets, sign=None):
            app = Flask("app", instance_path=str(tmp_path))
            app.config.update(host.config, WHOP_WEBHOOK_SECRET=secrets)
            if "sqlalchemy" in host.extensions:
                host.extensions["sqlalchemy"].init_app(app)
            WhopWebhooks(app, store=store).on("payment.succeeded", name="mail")(lambda app, event: None)
            for _ in range(2 if sign else 0):
                # What comes first is told by the time, which a fast test does not pass by itself.
                store.clock = partial(float, store.clock() + 1)
                sender = Sender(app, sign)
                assert sender.deliver("payment.succeeded", id=f"msg_{next(numbers)}").status_code == 200
            return app

        yield start


def found(app):
    result = app.test_cli_runner().invoke(args=["whop", "doctor", "--json"])
    told = json.loads(result.stdout)
    return {finding["id"] for check in told["checks"] for finding in check["findings"]} - {"W202"}


def test_another_app_that_takes_deliveries_in_between_is_told_at_start_and_by_the_doctor(start, caplog):
    start(SECRET, SECRET)
    start(OTHER_SECRET, OTHER_SECRET)
    app = start(SECRET, SECRET)
    assert found(app) == {"W204"}
    worked = app.test_cli_runner().invoke(args=["whop", "work", "--once"])
    assert worked.exit_code == 0
    start(OTHER_SECRET)
    assert "Another app takes deliveries as WHOP_ENDPOINT='app' in the same store" in caplog.text


def test_a_rotation_is_no_other_app(start, caplog):
    start(SECRET, SECRET)
    start([OTHER_SECRET, SECRET], SECRET)
    start([OTHER_SECRET, SECRET], OTHER_SECRET)
    start([OTHER_SECRET, SECRET], SECRET)
    assert found(start([OTHER_SECRET, SECRET])) == set()
    assert "Another app" not in caplog.text


def test_a_secret_that_is_replaced_at_once_is_no_other_app(start, caplog):
    start(SECRET, SECRET)
    assert found(start(OTHER_SECRET, OTHER_SECRET)) == set()
    assert found(start(THIRD_SECRET, THIRD_SECRET)) == set()
    assert "Another app" not in caplog.text
