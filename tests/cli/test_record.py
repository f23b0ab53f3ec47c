"""From a real delivery to a fixture: flask whop deliveries record, and a test that plays it."""

from __future__ import annotations

import json

import pytest

from flask_whop import WhopWebhooks
from flask_whop.testing import CheckFailed, WhopTestClient, recorded, sample
from tests.shop import Sender, new_app

PIN = "2026-10-15-1"
PERSONAL = ("ada", "king", "12 st james", "sw1y", "+4420", "4242", "user_odm")


class Shop:
    def __init__(self, folder, **config):
        self.app = new_app(folder, WHOP_STORE="sqlite:///whop.sqlite3", **config)
        self.whop = WhopWebhooks(self.app)
        self.events = []
        self.whop.on("*", name="note")(lambda app, event: self.events.append(event))

    def deliver(self, event_type, pin=None, id="msg_1"):  # noqa: A002  # the field's name
        Sender(self.app).send(sample(event_type, pin) | {"id": id})

    def record(self, *arguments):
        return self.app.test_cli_runner().invoke(args=["whop", "deliveries", "record", *arguments])


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path / "instance")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A project's folder of recordings, seen from a folder below it."""
    folder = tmp_path / "project/tests/deliveries"
    folder.mkdir(parents=True)
    (tmp_path / "project/src").mkdir()
    monkeypatch.chdir(tmp_path / "project/src")
    return folder


@pytest.mark.parametrize("pin", [None, "2026-08-01", PIN])
@pytest.mark.parametrize("event_type", ["payment.succeeded", "refund.created", "identity_profile.updated"])
def test_a_delivery_is_recorded_and_played_as_a_new_one(shop, folder, event_type, pin):
    shop.deliver(event_type, pin)
    result = shop.record("msg_1", "--json")
    assert result.exit_code == 0, result.output
    assert "replaced. Look it over before you commit it." in result.stderr
    (folder / "it.json").write_text(result.stdout)
    assert not [word for word in PERSONAL if f'"{word}' in result.stdout.lower()]
    [before] = shop.events
    with WhopTestClient(shop.app) as kit:
        first, second = kit.deliver(recorded("it.json")), kit.deliver(recorded(folder / "it.json"))
        assert type(first.event) is type(before)
        assert first.event.api_version_date == before.api_version_date
        assert (first.event.timestamp, first.event.drift) == (kit.clock.now(), ())
    assert [event.id for event in shop.events] == ["msg_1", first.event.id, second.event.id]
    assert len({event.id for event in shop.events}) == 3
    assert first.event.data == second.event.data


def test_a_test_sets_what_it_is_about(shop, folder):
    shop.deliver("payment.succeeded")
    (folder / "it.json").write_text(shop.record("msg_1").stdout)
    with WhopTestClient(shop.app) as kit:
        event = kit.deliver(recorded("it.json"), data={"plan.id": "plan_gold"}, id="msg_mine").event
        assert (event.id, event.data.plan_id, event.data.status) == ("msg_mine", "plan_gold", "paid")
        assert event.data.paid_at == shop.events[0].data.paid_at
        with pytest.raises(CheckFailed, match=r"the nearest is 'user\.email'"):
            kit.deliver(recorded("it.json"), data={"user.emial": "x"})


def test_what_is_to_be_kept_is_named(shop):
    shop.deliver("payment.succeeded")
    plan = sample("payment.succeeded")["data"]["plan"]["id"]
    assert plan not in shop.record("msg_1").stdout
    assert plan in shop.record("msg_1", "--keep", "data.plan.id").stdout
    result = shop.record("msg_1", "--keep", "data.plan.ib")
    assert result.exit_code == 1
    assert "the nearest is 'data.plan.id'" in result.output
    assert result.stdout == ""


def test_what_this_release_does_not_know_is_told(shop):
    body = sample("payment.succeeded") | {"id": "msg_1"}
    body["data"]["new_thing"] = "x\x1b[2J"
    Sender(shop.app).send(body)
    result = shop.record("msg_1")
    assert "Replaced because this release doesn't know them: " in result.stderr
    assert ", data.new_thing." in result.stderr
    assert "\x1b" not in result.output


def test_a_delivery_that_is_not_there_or_has_no_body_is_told(tmp_path):
    shop = Shop(tmp_path, WHOP_KEEP_PAYLOADS=False)
    assert "There is no delivery msg_404" in shop.record("msg_404").output
    shop.deliver("payment.succeeded")
    result = shop.record("msg_1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "WHOP_KEEP_PAYLOADS is False" in result.output


# Finding recordings.


def test_a_recording_that_is_not_there_is_told_with_the_nearest(folder):
    (folder / "refund.json").write_text("{}")
    with pytest.raises(CheckFailed, match=r"No recording 'refnd\.json' in .*deliveries; the nearest is 'refund\.json'"):
        recorded("refnd.json")
    with pytest.raises(CheckFailed, match="`flask whop deliveries record ID` makes one"):
        recorded("quite another")


def test_a_path_is_taken_from_the_working_directory(folder, tmp_path):
    (tmp_path / "project/src/near.json").write_text(json.dumps({"type": "near"}))
    assert recorded("near.json") == {"type": "near"}
    (folder / "near.json").write_text(json.dumps({"type": "in its folder"}))
    assert recorded("near.json") == {"type": "in its folder"}
    assert recorded("./../src/../tests/deliveries/near.json") == {"type": "in its folder"}


@pytest.mark.parametrize(
    ("text", "word"), [(b"{", "isn't JSON"), (b"[]", "JSON object"), (b'{"a": "\xff"}', "isn't JSON")]
)
def test_a_recording_that_is_none_is_told(folder, text, word):
    (folder / "it.json").write_bytes(text)
    with pytest.raises(CheckFailed, match=word):
        recorded("it.json")


def test_each_call_returns_a_body_of_its_own(folder):
    (folder / "it.json").write_text(json.dumps(sample("payment.succeeded")))
    recorded("it.json")["data"]["status"] = "void"
    assert recorded("it.json") == sample("payment.succeeded")
    assert json.loads(json.dumps(recorded("it.json"))) == recorded("it.json")
