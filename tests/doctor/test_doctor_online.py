"""``flask whop doctor --online`` reads the webhook back from Whop."""

from __future__ import annotations

import json
import re
from threading import Thread

import pytest
from werkzeug.serving import make_server

from flask_whop import WhopWebhooks
from flask_whop.engine.installation import Installation
from flask_whop.testing import FakeWhop
from tests.shop import SECRET, new_app

PUBLIC = "https://shop.example"
URL = f"{PUBLIC}/webhooks/whop"
PAID, IDENTITY = "payment.succeeded", "identity_profile.needs_action"


@pytest.fixture
def whop():
    with FakeWhop() as whop:
        yield whop


class Shop:
    def __init__(self, whop, folder, *events, **config):
        settings = {"WHOP_API_KEY": whop.key, "WHOP_API_URL": whop.url, "WHOP_PUBLIC_URL": PUBLIC, **config}
        self.app = new_app(folder, WHOP_STORE="sqlite:///whop.sqlite3", **settings)
        extension = WhopWebhooks(self.app)
        for event in events or (PAID,):
            extension.on(event, name="fulfil")(lambda app, event: None)
        self.key = whop.key

    def doctor(self, *args):
        result = self.app.test_cli_runner().invoke(args=["whop", "doctor", "--online", *args])
        assert self.key not in result.output
        return result

    def findings(self, *args):
        report = json.loads(self.doctor("--json", *args).output)
        [online] = [check for check in report["checks"] if check["name"] == "online"]
        return {finding["id"]: finding["what"] for finding in online["findings"]}


@pytest.fixture
def shop(whop, tmp_path):
    return Shop(whop, tmp_path)


def test_a_webhook_that_fits_has_no_finding(shop, whop):
    hook = whop.webhook(URL, [PAID])
    assert shop.findings() == {}
    assert f"{hook.id} (enabled, 1 event, no pin)" in shop.doctor().output


def test_what_is_not_there_is_found(shop, whop):
    whop.webhook("https://elsewhere.example/webhooks/whop", [PAID])
    assert shop.findings() == {"W601": f"No webhook at Whop delivers to {URL}."}
    assert shop.doctor().exit_code == 1


def test_a_disabled_webhook_and_why(shop, whop):
    whop.disable(whop.webhook(URL, [PAID]))
    assert "delivery_failures" in shop.findings()["W602"]


def test_a_webhook_that_fails_now(shop, whop):
    hook = whop.webhook(URL, [PAID])
    hook.failing_since, hook.consecutive_failures = "2026-11-25T10:00:00.000Z", 7
    assert shop.findings()["W603"].endswith("has failed since 2026-11-25T10:00:00.000Z, 7 in a row.")


def test_a_webhook_of_another_address(shop, whop):
    hook = whop.webhook("https://old.example/webhooks/whop", [PAID])
    assert "delivers to https://old.example/webhooks/whop" in shop.findings("--webhook", hook.id)["W604"]


def test_events_that_do_not_meet_their_receivers(whop, tmp_path):
    whop.webhook(URL, ["refund.created"])
    found = Shop(whop, tmp_path, PAID, "membership.went_valid").findings()
    assert found["W605"].endswith("refund.created.")
    assert found["W606"].endswith(f"{PAID}."), "a name that Whop offers no more isn't missing at Whop"


def test_two_webhooks_share_the_receivers(shop, whop):
    whop.webhook(URL, [PAID])
    whop.webhook(URL, [PAID]).child_resource_events = True
    assert shop.findings() == {}


def test_a_webhook_of_the_old_format(shop, whop):
    whop.webhook(URL, [PAID]).api_version = "v5"
    assert "legacy format v5" in shop.findings()["W607"]


@pytest.mark.parametrize(("pin", "found"), [(None, False), ("2026-05-01", False), ("2026-10-15-1", True)])
def test_a_late_pin_that_leaves_a_receivers_payload_empty(whop, tmp_path, pin, found):
    whop.webhook(URL, [IDENTITY]).api_version_date = pin
    assert ("W608" in Shop(whop, tmp_path, IDENTITY).findings()) is found


def test_permissions_that_an_app_lacks(shop, whop):
    whop.webhook(URL, [PAID]).resource_id = "app_1"
    assert shop.findings() == {}
    whop.receives = False
    assert "webhook_receive:payments" in shop.findings()["W609"]


def test_a_clock_that_is_off_by_whops_own_date(shop, whop):
    whop.webhook(URL, [PAID])
    verifier = Installation.of(shop.app).verifier
    now = verifier.clock
    verifier.clock = lambda: now() + 300
    assert re.search(r"clock is 30[0-2] seconds ahead of Whop's\.", shop.findings()["W501"])


def test_a_key_that_is_missing_or_wrong_is_a_finding(whop, tmp_path):
    assert "WHOP_API_KEY is not set" in Shop(whop, tmp_path, WHOP_API_KEY=None).findings()["W600"]
    assert "isn't a key of this environment" in Shop(whop, tmp_path, WHOP_API_KEY="apik_wrong").findings()["W600"]


def test_a_test_delivery_is_sent_and_its_answer_reported(shop, whop):
    hook = whop.webhook("http://127.0.0.1:9/webhooks/whop", [PAID], secret=SECRET)
    assert "reached nobody" in shop.findings("--webhook", hook.id, "--test", PAID)["W610"]
    server = make_server("127.0.0.1", 0, shop.app)
    Thread(target=server.serve_forever, daemon=True).start()
    hook.url = f"http://127.0.0.1:{server.port}/webhooks/whop"
    try:
        assert "W610" not in shop.findings("--webhook", hook.id, "--test", PAID)
        hook.secret = "ws_" + "0123456789abcdef" * 4
        assert "was answered 401" in shop.findings("--webhook", hook.id, "--test", PAID)["W610"]
    finally:
        server.shutdown()
        server.server_close()
    assert "W606" in shop.findings("--webhook", hook.id, "--test", "refund.created")


def test_options_of_online_go_with_it(shop):
    result = shop.app.test_cli_runner().invoke(args=["whop", "doctor", "--test", PAID])
    assert "go with --online" in result.output
