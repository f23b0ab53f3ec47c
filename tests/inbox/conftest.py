"""A shop with an inbox, looked at as a browser on this machine does."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

import pytest
from flask import Flask

from flask_whop import WhopWebhooks
from flask_whop.inbox import WhopInbox
from tests.shop import SECRET, Sender, new_app

OURS = {"Sec-Fetch-Site": "same-origin"}


@dataclass
class Desk:
    app: Flask
    whop: WhopWebhooks
    prefix: str = "/whop"
    inbox: WhopInbox | None = None

    @property
    def recorder(self):
        return self.inbox._recorders[self.app]

    def deliver(self, delivery_id, event_type="payment.succeeded", data=None, **envelope):
        return Sender(self.app, SECRET).deliver(event_type, data, id=delivery_id, **envelope)

    def get(self, path="/", **how):
        return self.app.test_client().get(f"{self.prefix}{path}", **how)

    def post(self, path, headers=OURS, **form):
        return self.app.test_client().post(f"{self.prefix}{path}", data=form, headers=headers)

    def text(self, path="/", **how):
        """What a page says, without its markup."""
        answer = self.get(path, **how)
        assert answer.status_code == 200, answer.text
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())

    def listed(self, query=""):
        """The ids of the deliveries on a page of the list."""
        return re.findall(r'id="d-([^"]*)"', self.get(f"/{query}").text)


@pytest.fixture
def app(tmp_path):
    return new_app(tmp_path, WHOP_STORE="sqlite:///whop.sqlite3")


@pytest.fixture
def desk(app):
    whop = WhopWebhooks(app)
    return Desk(app, whop, inbox=whop.inbox(authorize=lambda: True))
