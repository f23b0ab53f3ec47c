"""What one delivery costs, side by side in one run, each through a Flask app's own WSGI stack.

    python -m pytest tests/benchmarks/bench_delivery.py

Five apps get the same signed requests, each with an id of its own, made beforehand:
a bare Flask view that answers; a view written by hand on whop-sdk's ``unwrap``, which
gives a plain dict; the view that a careful person would write for the promise of this
extension, with a small model and a dictionary of the ids that are done; this extension
with one receiver; and with ten. Each receiver reads the mail address and the reason of
the last error. The extension also calls each receiver on its own and logs the delivery.
"""

from __future__ import annotations

import io
import time
from itertools import count
from pathlib import Path

import pytest
from flask import Flask, jsonify, request
from pydantic import BaseModel
from whop_sdk.lib.verify_webhook import WebhookVerificationError, unwrap

from flask_whop import WhopWebhooks
from flask_whop.signature import sign

SECRET = "ws_" + "5b1c9fe07d2a4836" * 4
BODY = (Path(__file__).parents[2] / "examples/identity_desk/documented.json").read_bytes()
PATH = "/webhooks/whop"
ROUNDS, DELIVERIES = 30, 200

_ids = count()


def bare():
    """A view that reads the body and answers."""
    app = Flask("bare")

    @app.post(PATH)
    def receive():
        request.get_data()
        return jsonify(status="ok")

    return app


def by_hand():
    """The view that whop-sdk's documentation leads to."""
    app = Flask("by_hand")

    @app.post(PATH)
    def receive():
        try:
            event = unwrap(request.get_data(), headers=request.headers, key=SECRET)
        except WebhookVerificationError:
            return jsonify(status="rejected"), 401
        if event["type"] == "identity_profile.needs_action":
            data = event["data"]
            read(data["email"], data["verifications"][0]["last_error_reason"])
        return jsonify(status="ok")

    return app


class SmallVerification(BaseModel):
    """What the careful view reads of a verification."""

    last_error_reason: str | None = None


class SmallProfile(BaseModel):
    """What the careful view reads of a profile."""

    id: str
    email: str | None = None
    verifications: list[SmallVerification] = []


def with_care():
    """The view that keeps the same promise: verified, typed, and each delivery once."""
    app = Flask("with_care")
    done = {}

    @app.post(PATH)
    def receive():
        try:
            event = unwrap(request.get_data(), headers=request.headers, key=SECRET)
        except WebhookVerificationError:
            return jsonify(status="rejected"), 401
        delivery_id = request.headers["webhook-id"]
        if delivery_id in done:
            return jsonify(status="duplicate")
        if event["type"] == "identity_profile.needs_action":
            profile = SmallProfile.model_validate(event["data"])
            read(profile.email, profile.verifications[0].last_error_reason)
        done[delivery_id] = time.time()
        return jsonify(status="ok")

    return app


def extension(receivers):
    """This extension, with a number of receivers."""
    app = Flask("extension")
    app.config.update(WHOP_WEBHOOK_SECRET=SECRET, WHOP_STORE="memory://")
    whop = WhopWebhooks(app)
    for number in range(receivers):

        @whop.on("identity_profile.needs_action", name=f"receiver {number}")
        def receiver(app, event, **extra):
            read(event.data.email, event.data.verifications[0].last_error_reason)

    return app


def read(email, reason):
    assert email
    assert reason


APPS = {
    "bare view": bare,
    "by hand on whop-sdk": by_hand,
    "by hand, with the promise": with_care,
    "flask-whop, 1 receiver": lambda: extension(1),
    "flask-whop, 10 receivers": lambda: extension(10),
}


def environments(deliveries=DELIVERIES):
    """The WSGI environments of some signed requests."""
    made = []
    for number in range(deliveries):
        headers = sign(BODY, SECRET, delivery_id=f"msg_{next(_ids)}_{number}")
        made.append(
            {
                "REQUEST_METHOD": "POST",
                "PATH_INFO": PATH,
                "SCRIPT_NAME": "",
                "QUERY_STRING": "",
                "SERVER_NAME": "localhost",
                "SERVER_PORT": "80",
                "SERVER_PROTOCOL": "HTTP/1.1",
                "wsgi.url_scheme": "http",
                "wsgi.input": io.BytesIO(BODY),
                "wsgi.errors": io.StringIO(),
                "CONTENT_TYPE": "application/json",
                "CONTENT_LENGTH": str(len(BODY)),
                "HTTP_HOST": "localhost",
                "HTTP_USER_AGENT": "Whop",
                "HTTP_ACCEPT": "*/*",
                **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()},
            }
        )
    return made


def deliver(app, made):
    for environ in made:
        answer = app(environ, lambda status, headers, exc_info=None: statuses.append(status))
        b"".join(answer)
        answer.close()


statuses = []


@pytest.mark.parametrize("make_app", APPS.values(), ids=APPS.keys())
def bench_delivery(benchmark, make_app):
    app = make_app()
    statuses.clear()
    benchmark.extra_info["deliveries a round"] = DELIVERIES
    benchmark.pedantic(deliver, setup=lambda: ((app, environments()), {}), rounds=ROUNDS, warmup_rounds=3)
    assert set(statuses) == {"200 OK"}
