"""``flask whop sync`` subscribes the webhook at Whop to what has receivers in the app."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys

import pytest
from dotenv import dotenv_values
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from flask_whop import WhopWebhooks
from flask_whop.testing import FakeWhop
from tests import ROOT
from tests.shop import SECRET, new_app

PUBLIC = "https://shop.example"
URL = f"{PUBLIC}/webhooks/whop"
PAID, DISPUTED = "payment.succeeded", "dispute.created"
PIN = "2026-10-15-1"


@pytest.fixture
def whop():
    with FakeWhop() as whop:
        yield whop


class Shop:
    """An app with receivers of two events, its API key, and the command."""

    def __init__(self, whop, folder, *events, **config):
        self.folder = folder
        self.whop = whop
        self.app = new_app(folder, WHOP_API_KEY=whop.key, WHOP_API_URL=whop.url, WHOP_PUBLIC_URL=PUBLIC, **config)
        extension = WhopWebhooks(self.app)
        for event in events or (PAID, DISPUTED):
            extension.on(event)(lambda app, event: None)

    def sync(self, *args, **how):
        result = self.app.test_cli_runner().invoke(args=["whop", "sync", *args], **how)
        assert self.whop.key not in result.output
        return result

    def changes(self):
        """The calls that have changed something."""
        return [asked.operation for asked in self.whop.asked if asked.method != "GET"]


@pytest.fixture
def shop(whop, tmp_path):
    return Shop(whop, tmp_path)


def test_a_webhook_is_created_where_there_is_none_and_its_secret_is_shown_once(shop, whop):
    result = shop.sync(input="y\n")
    assert result.exit_code == 0, result.output
    [hook] = whop.webhooks.values()
    assert (hook.url, sorted(hook.events), hook.enabled) == (URL, [DISPUTED, PAID], True)
    assert result.output.count(hook.secret) == 1
    assert f"WHOP_WEBHOOK_SECRET={hook.secret}" in result.output
    assert hook.secret not in shop.sync("--yes").output


def test_it_is_idempotent(shop):
    shop.sync("--yes")
    again = shop.sync("--yes")
    assert again.exit_code == 0
    assert "Nothing to change" in again.output
    assert shop.changes() == ["create"]


def test_the_plan_is_shown_and_nothing_happens_unless_it_is_confirmed(shop):
    declined = shop.sync(input="n\n")
    assert declined.exit_code == 1
    assert f"create a webhook for {URL}" in declined.output
    assert f"subscribe it to {DISPUTED}, {PAID}" in declined.output
    assert shop.sync("--dry-run").exit_code == 0
    assert shop.changes() == []


def test_missing_events_are_added_and_others_stay(shop, whop):
    hook = whop.webhook(f"{URL}/", [PAID, "refund.created"])
    result = shop.sync("--yes")
    assert sorted(hook.events) == [DISPUTED, PAID, "refund.created"]
    assert f"+ subscribe it to {DISPUTED}" in result.output
    assert "is also subscribed to refund.created, without a receiver here; --remove" in result.output


def test_others_go_with_remove_alone(shop, whop):
    hook = whop.webhook(URL, [PAID, DISPUTED, "refund.created"])
    result = shop.sync("--yes", "--remove")
    assert sorted(hook.events) == [DISPUTED, PAID]
    assert "unsubscribe it from refund.created" in result.output


def test_a_disabled_webhook_is_enabled_only_when_told(shop, whop):
    hook = whop.webhook(URL, [PAID, DISPUTED])
    whop.disable(hook)
    result = shop.sync("--yes")
    assert not hook.enabled
    assert "is disabled (delivery_failures), so nothing arrives; --enable" in result.output
    result = shop.sync("--yes", "--enable")
    assert hook.enabled
    assert "enable it again" in result.output


def test_the_pin_and_connected_accounts_are_changed_when_told(shop, whop):
    hook = whop.webhook(URL, [PAID, DISPUTED])
    result = shop.sync("--yes", "--pin", PIN, "--child-events")
    assert (hook.api_version_date, hook.child_resource_events) == (PIN, True)
    assert f"pin it to {PIN}" in result.output
    assert "connected accounts only" in result.output
    result = shop.sync("--yes", "--no-pin", "--own-events")
    assert (hook.api_version_date, hook.child_resource_events) == (None, False)
    assert "remove its pin" in result.output
    assert "Nothing to change" in shop.sync("--yes", "--no-pin", "--own-events").output


def test_a_new_webhook_gets_what_is_given(shop, whop):
    shop.sync("--yes", "--pin", PIN, "--child-events", "--resource-id", "biz_7")
    [hook] = whop.webhooks.values()
    assert (hook.api_version_date, hook.child_resource_events, hook.resource_id) == (PIN, True, "biz_7")


def test_each_account_and_app_has_a_webhook_of_its_own_at_one_address(shop, whop):
    own = whop.webhook(URL, [PAID])
    for _ in range(2):
        shop.sync("--yes", "--resource-id", "biz_7")
        shop.sync("--yes", "--resource-id", "app_7")
    assert {hook.resource_id for hook in whop.webhooks.values()} == {"biz_fake", "biz_7", "app_7"}
    assert len(whop.webhooks) == 3
    assert own.events == [PAID]


def test_what_a_webhook_is_for_cannot_be_changed(shop, whop):
    hook = whop.webhook(URL, [PAID])
    result = shop.sync("--yes", "--resource-id", "biz_7", "--webhook", hook.id)
    assert result.exit_code == 1
    assert "is for biz_fake, which can't be changed" in result.output


def test_several_webhooks_of_one_address_are_shown_and_not_guessed(shop, whop):
    first, second = whop.webhook(URL, [PAID]), whop.webhook(URL, [])
    second.child_resource_events = True
    result = shop.sync("--yes")
    assert result.exit_code == 1
    assert first.id in result.output
    assert f"{second.id} (v1, no pin, connected accounts, 0 events)" in result.output
    assert shop.sync("--yes", "--webhook", second.id).exit_code == 0
    assert (first.events, sorted(second.events)) == ([PAID], [DISPUTED, PAID])


def test_a_webhook_elsewhere_is_left_alone(shop, whop):
    other = whop.webhook("https://other.example/webhooks/whop", ["refund.created"])
    shop.sync("--yes")
    assert other.events == ["refund.created"]
    assert len(whop.webhooks) == 2


def test_names_that_whop_no_longer_takes_are_named_with_what_is_sent_instead(whop, tmp_path):
    shop = Shop(whop, tmp_path, PAID, "membership.went_valid", "membership.experience_claimed")
    result = shop.sync("--yes")
    [hook] = whop.webhooks.values()
    assert hook.events == [PAID]
    assert "membership.went_valid has a receiver, and is called membership.activated now" in result.output
    assert "No webhook can be subscribed any more to membership.experience_claimed" in result.output


def test_receivers_of_a_pattern_and_of_everything_are_subscribed_to_what_whop_offers(whop, tmp_path):
    shop = Shop(whop, tmp_path, "*")
    assert shop.sync("--yes").exit_code == 0
    [hook] = whop.webhooks.values()
    assert len(hook.events) == 91


def test_old_names_of_an_existing_webhook_are_not_lost_unasked(shop, whop):
    hook = whop.webhook(URL, [PAID, "membership.went_valid"])
    result = shop.sync("--yes")
    assert result.exit_code == 1
    assert "lists membership.went_valid, which Whop no longer takes" in result.output
    assert hook.events == [PAID, "membership.went_valid"]
    assert shop.sync("--yes", "--remove").exit_code == 0
    assert sorted(hook.events) == [DISPUTED, PAID]


def test_old_names_that_have_receivers_go_by_a_flag_of_their_own(whop, tmp_path):
    shop = Shop(whop, tmp_path, PAID, "membership.went_valid", "shipping_address.changed")
    old = [PAID, "membership.went_valid", "shipping_address.changed"]
    hook = whop.webhook(URL, old)
    assert "Nothing to change" in shop.sync("--yes", "--remove").output
    hook.events.append("refund.created")
    result = shop.sync("--yes", "--remove")
    assert result.exit_code == 1
    assert "which have receivers here, and which Whop no longer takes" in result.output
    assert hook.events == [*old, "refund.created"]
    assert shop.sync("--yes", "--remove", "--let-go").exit_code == 0
    assert hook.events == [PAID]


def test_an_event_that_this_release_does_not_know_stays_and_goes_with_remove_unless_it_has_a_receiver(whop, tmp_path):
    hook = whop.webhook(URL, [PAID, "rocket.launched"])
    assert "also subscribed to rocket.launched" in Shop(whop, tmp_path, PAID).sync("--yes").output
    assert hook.events == [PAID, "rocket.launched"]
    everything = Shop(whop, tmp_path, "*")
    everything.sync("--yes", "--dry-run")
    planned = json.loads(everything.sync("--json", "--dry-run", "--remove").output)
    assert "rocket.launched" in planned["events"]
    Shop(whop, tmp_path, PAID).sync("--yes", "--remove")
    assert hook.events == [PAID]


def test_nothing_is_created_where_nothing_has_a_receiver(whop, tmp_path):
    shop = Shop(whop, tmp_path, "membership.experience_claimed")
    result = shop.sync("--yes")
    assert result.exit_code == 1
    assert "No event that Whop offers has a receiver here" in result.output


def test_a_missing_permission_is_named_before_anything_is_changed(shop, whop):
    whop.permissions.clear()
    result = shop.sync("--yes", "--resource-id", "biz_7")
    assert result.exit_code == 1
    assert "developer:manage_webhook" in result.output
    assert shop.changes() == []


def test_permissions_that_an_apps_webhook_lacks_are_named(shop, whop):
    whop.receives = False
    result = shop.sync("--yes", "--resource-id", "app_7")
    assert result.exit_code == 0
    assert "The app lacks webhook_receive:disputes, webhook_receive:payments, so fields" in result.output


def test_without_a_key_or_an_address_the_setting_is_named(whop, tmp_path):
    shop = Shop(whop, tmp_path)
    shop.app = new_app(tmp_path)
    WhopWebhooks(shop.app)
    assert "WHOP_API_KEY is not set" in shop.sync().output
    shop.app = new_app(tmp_path, WHOP_API_KEY=whop.key, WHOP_API_URL=whop.url)
    WhopWebhooks(shop.app)
    assert "WHOP_PUBLIC_URL is not set" in shop.sync().output


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--pin", "latest"], "--pin must be a date"),
        (["--pin", PIN, "--no-pin"], "exclude each other"),
        (["--json"], "--json can't ask"),
        (["--url", "shop.example"], "--url must be an address"),
        (["--url", "https://"], "--url must be an address"),
        (["--url", "https://shop.example/?a=b"], "--url must be an address"),
        (["--url", "https://user:pw@shop.example"], "--url must be an address"),
        (["--url", "https://[bad"], "--url must be an address"),
        (["--webhook", "../x"], "isn't an id"),
        (["--webhook", "hook_404"], "There is no such thing"),
    ],
)
def test_options_that_cannot_work_say_why(shop, args, message):
    result = shop.sync(*args)
    assert result.exit_code != 0
    assert message in result.output


def test_the_secret_goes_to_a_file_that_only_its_owner_reads(shop, whop, tmp_path):
    file = tmp_path / "new.env"
    result = shop.sync("--yes", "--env-file", str(file))
    [hook] = whop.webhooks.values()
    assert hook.secret not in result.output
    assert file.read_text() == f"WHOP_WEBHOOK_SECRET={hook.secret}\n"
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "line",
    [
        f"WHOP_WEBHOOK_SECRET={SECRET}",
        f'export WHOP_WEBHOOK_SECRET="{SECRET}" # of the main account',
        f"  WHOP_WEBHOOK_SECRET = '{SECRET}'",
        f"WHOP_WEBHOOK_SECRET=changeme\nWHOP_WEBHOOK_SECRET={SECRET}",
    ],
)
def test_the_secret_stands_beside_others_in_the_file(shop, whop, tmp_path, line):
    real = tmp_path / "real.env"
    real.write_bytes(f'FLASK_APP=shop\n{line}\nOTHER="a\x0cb"\nLAST=ü'.encode())
    file = tmp_path / ".env"
    file.symlink_to(real)
    shop.sync("--yes", "--env-file", str(file))
    [hook] = whop.webhooks.values()
    read = dotenv_values(real)
    assert read == {
        "FLASK_APP": "shop",
        "WHOP_WEBHOOK_SECRET": f"{SECRET},{hook.secret}",
        "OTHER": "a\x0cb",
        "LAST": "ü",
    }
    assert file.is_symlink()


def test_a_placeholder_in_the_file_gives_way(shop, whop, tmp_path):
    file = tmp_path / ".env"
    file.write_text("WHOP_WEBHOOK_SECRET=changeme\n")
    shop.sync("--yes", "--env-file", str(file))
    [hook] = whop.webhooks.values()
    assert dotenv_values(file) == {"WHOP_WEBHOOK_SECRET": hook.secret}


def test_a_file_that_is_no_text_is_found_before_there_is_a_secret(shop, tmp_path):
    file = tmp_path / ".env"
    file.write_bytes(b"NAME=\xfc\n")
    result = shop.sync("--yes", "--env-file", str(file))
    assert "it isn't UTF-8), so nothing was changed" in result.output
    assert shop.changes() == []


def test_a_secret_that_cannot_be_written_after_all_is_shown(shop, whop, tmp_path, monkeypatch):
    def full(*_args, **_how):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("flask_whop.cli.env_file.set_key", full)
    result = shop.sync("--yes", "--env-file", str(tmp_path / ".env"))
    [hook] = whop.webhooks.values()
    assert result.exit_code == 1
    assert hook.secret in result.output
    assert "No space left on device" in result.output


def test_the_first_webhook_is_made_for_an_app_that_has_no_secret_yet(whop, tmp_path):
    (tmp_path / "shop.py").write_text(
        "from flask import Flask\nfrom flask_whop import WhopWebhooks\napp = Flask('shop')\nwhop = WhopWebhooks(app)\n"
        "@whop.on('payment.succeeded')\ndef fulfil(app, event): ...\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WHOP_")}
    environment |= {"WHOP_API_KEY": whop.key, "WHOP_API_URL": whop.url, "PYTHONPATH": str(ROOT)}

    def flask(*arguments):
        command = [sys.executable, "-m", "flask", "--app", "shop", *arguments]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)

    made = flask("whop", "sync", "--url", PUBLIC, "--yes", "--env-file", ".env")
    assert made.returncode == 0, made.stdout + made.stderr
    [hook] = whop.webhooks.values()
    assert dotenv_values(tmp_path / ".env") == {"WHOP_WEBHOOK_SECRET": hook.secret}
    (tmp_path / ".env").unlink()
    refused = flask("whop", "trigger", "payment.succeeded")
    assert refused.returncode == 1
    assert "WHOP_WEBHOOK_SECRET is not set" in refused.stderr
    assert "WHOP_WEBHOOK_SECRET is not set" in flask("routes").stderr, "everything else needs one"
    (tmp_path / "whop.py").write_text((tmp_path / "shop.py").read_text())
    served = flask("--app", "whop", "run", "--port", "0")
    assert served.returncode != 0, "no server starts without one, whatever it's called"
    assert "WHOP_WEBHOOK_SECRET is not set" in served.stderr


def test_the_address_is_where_middleware_mounts_the_app(shop, whop):
    shop.app.wsgi_app = DispatcherMiddleware(lambda *_: [], {"/shop": shop.app.wsgi_app})
    shop.sync("--yes")
    [hook] = whop.webhooks.values()
    assert hook.url == f"{PUBLIC}/shop/webhooks/whop"


def test_a_webhook_whose_address_cannot_be_read_is_another_one(shop, whop):
    whop.webhook("https://[bad/webhooks/whop", [PAID])
    assert shop.sync("--yes").exit_code == 0
    assert len(whop.webhooks) == 2


def test_a_file_that_cannot_be_written_is_found_before_there_is_a_secret(shop, tmp_path):
    result = shop.sync("--yes", "--env-file", str(tmp_path / "no folder" / ".env"))
    assert result.exit_code == 1
    assert "so nothing was changed" in result.output
    assert shop.changes() == []


def test_json_has_the_plan_and_once_the_secret(shop, whop):
    planned = json.loads(shop.sync("--json", "--dry-run").output)
    assert (planned["webhook"], planned["applied"], planned["events"]) == (None, False, [DISPUTED, PAID])
    created = json.loads(shop.sync("--json", "--yes").output)
    [hook] = whop.webhooks.values()
    assert (created["applied"], created["secret"], created["webhook"]) == (True, hook.secret, hook.id)
    again = json.loads(shop.sync("--json", "--yes").output)
    assert (again["webhook"], again["steps"], again["applied"]) == (hook.id, [], False)
    assert "secret" not in again


def test_neither_key_nor_secret_is_in_a_log(shop, whop, caplog):
    with caplog.at_level(logging.DEBUG):
        shop.sync("--yes")
    [hook] = whop.webhooks.values()
    assert whop.key not in caplog.text
    assert hook.secret not in caplog.text


def test_a_lost_answer_creates_no_second_webhook(shop, whop):
    whop.disturb("create", "lost_answer")
    result = shop.sync("--yes")
    [hook] = whop.webhooks.values()
    assert hook.secret in result.output
