"""A shop with an inbox, for tests that need a real server; its receiver fails while a file is there."""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask

from flask_whop import WhopWebhooks


def create_app() -> Flask:
    folder = Path(os.environ["SHOP_INSTANCE"])
    app = Flask("course_shop", instance_path=str(folder))
    app.config["WHOP_STORE"] = os.environ["SHOP_STORE"]
    whop = WhopWebhooks(app)
    whop.inbox(authorize=lambda: True)

    @whop.on("payment.*", name="shop:keep_books")
    def keep_books(app, event):
        note(f"books {event.idempotency_key('shop:keep_books')}")

    @whop.on("payment.succeeded", name="shop:fulfil")
    def fulfil(app, event):
        note(f"fulfil {event.idempotency_key('shop:fulfil')}")
        if (folder / "broken").exists():
            raise LookupError(f"there is no course for {event.data.plan_id}")

    def note(line: str) -> None:
        with (folder / "called").open("a") as called:
            called.write(line + "\n")

    return app
