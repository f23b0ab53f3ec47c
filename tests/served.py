"""An app for the tests that need a real server; it tells what arrived by appending to a file."""

from __future__ import annotations

import os

from flask import Flask, got_request_exception

from flask_whop import WhopWebhooks
from flask_whop.signals import identity_profile_needs_action, payment_succeeded


def create_app() -> Flask:
    app = Flask(__name__, instance_path=os.environ["SHOP_INSTANCE"])
    WhopWebhooks(app)

    def tell(line: str) -> None:
        with open(os.environ["SHOP_ARRIVED"], "a") as arrived:  # noqa: PTH123
            arrived.write(line + "\n")

    @identity_profile_needs_action.connect
    def ask_again(app, event, **extra):
        [verification] = event.data.verifications
        tell(f"{type(event).__name__} {event.account_id} {verification.last_error_reason}")

    @payment_succeeded.connect
    async def fulfil(app, event, **extra):
        tell(event.id)

    @got_request_exception.connect_via(app)
    def track(app, exception, **extra):
        tell(f"error {type(exception).__name__}")

    app.extensions["track"] = track  # Blinker holds it weakly
    return app
