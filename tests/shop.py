"""A shop: its secrets, its app, and a sender that plays Whop."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from flask import Flask

from flask_whop.signature import sign
from flask_whop.testing import signed

if TYPE_CHECKING:
    from pathlib import Path

    from werkzeug.test import TestResponse

SECRET = "ws_" + "5b1c9fe07d2a4836" * 4
OTHER_SECRET = "ws_" + "e8a04d7715c3b296" * 4
PATH = "/webhooks/whop"
BODY = b'{"id":"msg_1","type":"payment.succeeded","data":{"id":"pay_1"}}'

_ids = count(1)


def new_app(folder: Path | str | None = None, *, name: str = "shop", **config: object) -> Flask:
    """Make an app with a secret, and ``folder`` as its instance folder; flask_whop isn't set up for it yet."""
    app = Flask(name, instance_path=None if folder is None else str(folder))
    app.config.update({"WHOP_WEBHOOK_SECRET": SECRET, **config})
    return app


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


def good_headers(body: bytes = BODY, **how: int | None) -> dict[str, str]:
    """The headers with which Whop would send a body."""
    return {**sign(body, SECRET, delivery_id="msg_1", **how), "content-type": "application/json"}


def post(app: Flask, headers: dict[str, str], body: bytes = BODY) -> TestResponse:
    """Send a body with these headers."""
    return app.test_client().post(PATH, data=body, headers=headers)
