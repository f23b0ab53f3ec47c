"""What people see on the inbox, and what they can do there."""

from __future__ import annotations

import html
import json
import logging
import math
import re

import pytest
from markupsafe import escape

from flask_whop import GiveUp, RetryLater
from flask_whop.doctor.watch import DOCTOR
from flask_whop.engine.installation import Installation
from flask_whop.engine.worker import run_due
from flask_whop.errors import StoreUnavailable
from flask_whop.stores import Tally
from flask_whop.testing import signed
from tests.inbox.conftest import Desk
from tests.shop import OTHER_SECRET, SECRET, Sender, new_app

HOSTILE = "<script>alert(1)</script>'\"&\u202e"


@pytest.fixture
def fulfil(desk):
    """A receiver whose next calls fail as often as a test says."""

    class Fulfil:
        def __init__(self):
            self.failures = 0
            self.keys = []

        def __call__(self, app, event):
            self.keys.append(event.idempotency_key("fulfil"))
            if self.failures:
                self.failures -= 1
                raise ValueError("no such plan")

    receiver = Fulfil()
    desk.whop.on("payment.succeeded", name="fulfil")(receiver)
    return receiver


# The list.


def test_it_lists_what_came_the_latest_first(desk):
    for number in range(3):
        desk.deliver(f"msg_{number}", data={"id": f"pay_{number}"})
    assert desk.listed() == ["msg_2", "msg_1", "msg_0"]
    assert "payment.succeeded pay_2 biz_1" in desk.text()


def test_an_empty_one_says_so(desk):
    assert "Nothing has arrived yet" in desk.text()
    assert "Nothing needs your attention" in desk.text("/?state=attention")
    assert "No delivery fits" in desk.text("/?q=nobody")


def test_what_needs_a_person_stands_out_with_its_reason(desk, fulfil):
    fulfil.failures = 1
    desk.deliver("msg_failed")
    desk.deliver("msg_done")
    assert "Needs attention 1" in desk.text()
    assert "fulfil : ValueError: no such plan" in desk.text()
    assert desk.listed("?state=attention") == ["msg_failed"]
    assert desk.listed("?state=done") == ["msg_done"]


def test_it_is_narrowed_by_every_filter(desk, fulfil):
    fulfil.failures = 1
    desk.deliver("msg_1", data={"id": "pay_1"}, company_id="biz_1")
    desk.deliver("msg_2", "refund.created", data={"id": "rfnd_2"}, company_id="biz_2")
    desk.deliver("msg_3", "payment.failed", data={"id": "pay_1"}, company_id="biz_2")
    assert desk.listed("?q=msg_2") == desk.listed("?q=rfnd") == ["msg_2"]
    assert desk.listed("?q=biz_2") == ["msg_3", "msg_2"]
    assert desk.listed("?type=payment.*") == ["msg_3", "msg_1"]
    assert desk.listed("?type=refund.created") == ["msg_2"]
    assert desk.listed("?account=biz_2&type=payment.*") == ["msg_3"]
    assert desk.listed("?resource=payment:pay_1") == ["msg_3", "msg_1"]
    assert desk.listed("?receiver=fulfil&receipt=failed") == desk.listed("?state=failed") == ["msg_1"]
    assert desk.listed("?since=2001-01-01T00:00&until=2001-01-02T00:00") == []
    assert len(desk.listed("?since=2001-01-01T00:00")) == 3


@pytest.mark.parametrize("query", ["state=odd", "receipt=odd", "since=odd", "until=2026-13-01T00:00", "cursor=odd"])
def test_a_filter_that_cannot_be_read_is_told(desk, query):
    desk.deliver("msg_1")
    page = desk.get(f"/?{query}")
    assert page.status_code == 200
    assert 'role="alert"' in page.text
    assert "msg_1" not in page.text


def test_it_pages_back_to_the_first(desk):
    for number in range(120):
        desk.deliver(f"msg_{number:03}")
    seen, query = [], "?type=payment.*"
    while query:
        page = desk.get(f"/{query}").text
        seen += desk.listed(query)
        _, older, rest = page.partition('rel="next" href="/whop/')
        query = rest.partition('"')[0].replace("&amp;", "&") if older else ""
    assert seen == [f"msg_{number:03}" for number in range(119, -1, -1)]


def test_the_script_asks_for_the_rows_alone_and_gets_none_that_it_has(desk):
    desk.deliver("msg_1")
    first = desk.get("/live?type=payment.*")
    assert "msg_1" in first.text
    assert "<html" not in first.text
    again = {"headers": {"If-None-Match": first.headers["ETag"]}}
    assert desk.get("/live?type=payment.*", **again).status_code == 304
    desk.deliver("msg_2")
    desk.deliver("msg_3", "refund.created")
    assert "msg_2" in (answer := desk.get("/live?type=payment.*", **again)).text
    assert answer.status_code == 200
    assert "msg_3" not in answer.text


# One delivery.


def test_it_tells_what_happened_to_a_delivery(desk, fulfil):
    fulfil.failures = 1
    desk.whop.on("payment.*", name="books")(lambda app, event: None)
    desk.whop.on("payment.*", name="gold", when=lambda event: False)(lambda app, event: None)
    desk.deliver("msg_1", data={"id": "pay_1"})
    page = desk.text("/deliveries/msg_1")
    assert "payment.succeeded failed A receiver failed, and Whop sends the delivery again." in page
    assert "It arrived, with a good signature" in page
    assert "books done" in page
    assert "Called 1 time; it took" in page
    assert "ValueError: no such plan" in page
    assert "gold skipped" in page
    assert "Not called." in page


def test_it_tells_when_the_next_call_is(tmp_path):
    app = new_app(tmp_path, WHOP_STORE="sqlite:///whop.sqlite3", WHOP_DISPATCH="worker")
    desk = Desk(app, whop_of(app))
    desk.whop.on("payment.succeeded", name="fulfil")(later)
    desk.deliver("msg_1")
    run_due(app)
    page = desk.text("/deliveries/msg_1")
    assert "The retry is ours" in page
    assert "The next call is" in page
    assert "In progress 1" in desk.text()


def later(app, event):
    raise RetryLater(300)


def whop_of(app):
    from flask_whop import WhopWebhooks

    whop = WhopWebhooks(app)
    whop.inbox(authorize=lambda: True)
    return whop


def test_its_payload_is_shown_to_those_who_ask_and_the_log_notes_it(desk, caplog):
    caplog.set_level(logging.INFO, "flask_whop")
    desk.deliver("msg_1", data={"id": "pay_1", "user": {"email": "ada@example.com"}, "total": 10.10})
    assert "ada@example.com" not in desk.get("/deliveries/msg_1").text
    assert "looked at" not in caplog.text
    assert "user 1 field email ada@example.com" in desk.text("/deliveries/msg_1?payload=tree")
    assert '"email": "ada@example.com"' in desk.text("/deliveries/msg_1?payload=json")
    assert "10.1" in desk.text("/deliveries/msg_1?payload=tree")
    assert "The payload of delivery msg_1 was looked at" in caplog.text
    assert "ada@example.com" not in caplog.text


def test_a_payload_that_is_gone_is_told(desk):
    desk.deliver("msg_1", data={"id": "pay_1"})
    with desk.app.app_context():
        desk.whop.deliveries.erase(delivery_ids=["msg_1"])
    page = desk.text("/deliveries/msg_1?payload=tree")
    assert "Its payload was erased later." in page
    assert "It can't be replayed: its payload is gone." in page


def test_other_deliveries_of_the_resource_are_listed_beside_it(desk):
    for number, resource in enumerate(["pay_1", "pay_1", "pay_2"]):
        desk.deliver(f"msg_{number}", data={"id": resource})
    page = desk.get("/deliveries/msg_0").text
    assert 'id="d-msg_1"' in page
    assert 'id="d-msg_2"' not in page


def test_a_delivery_that_there_is_not_is_told(desk):
    answer = desk.get("/deliveries/nobody")
    assert answer.status_code == 404
    assert escape("There is no such delivery.") in answer.text


# Replays.


def test_a_replay_says_before_what_it_does_and_then_does_it(desk, fulfil, caplog):
    caplog.set_level(logging.INFO, "flask_whop")
    fulfil.failures = 2
    desk.whop.on("payment.*", name="books")(lambda app, event: None)
    desk.deliver("msg_1")
    page = desk.text("/deliveries/msg_1")
    assert "A replay calls 1 receiver, here and now." in page
    assert "fulfil Will be called." in page
    assert "books Has finished (done), and won't be called." in page
    answer = desk.post("/replay/msg_1")
    assert answer.location.endswith("/whop/deliveries/msg_1?said=retry_later")
    assert "is called again later" in desk.text("/deliveries/msg_1?said=retry_later")
    assert "Delivery msg_1 was replayed in the inbox" in caplog.text


def test_a_replay_finishes_what_failed(desk, fulfil):
    fulfil.failures = 1
    desk.deliver("msg_1")
    assert desk.post("/replay/msg_1").location.endswith("said=processed")
    assert "every receiver is done with it" in desk.text("/deliveries/msg_1?said=processed")
    assert desk.listed("?state=done") == ["msg_1"]
    assert len(fulfil.keys) == 2


def test_a_replay_for_one_receiver_leaves_the_others(desk):
    called = []
    for name in ("one", "two"):
        desk.whop.on("payment.succeeded", name=name)(lambda app, event, name=name: called.append(name) or 1 / 0)
    desk.deliver("msg_1")
    desk.post("/replay/msg_1", receiver="two")
    assert called == ["one", "two", "two"]


def test_what_has_finished_is_called_again_when_forced_with_the_same_key(desk, fulfil):
    desk.deliver("msg_1")
    assert desk.post("/replay/msg_1", receiver="fulfil").location.endswith("said=refused")
    assert len(fulfil.keys) == 1
    assert desk.post("/replay/msg_1", receiver="fulfil", force="1").location.endswith("said=processed")
    assert len(fulfil.keys) == 2
    assert len(set(fulfil.keys)) == 1


def test_all_cannot_be_forced(desk, fulfil):
    desk.deliver("msg_1")
    desk.post("/replay/msg_1", force="1")
    assert len(fulfil.keys) == 1


def test_what_is_said_after_a_replay_comes_from_us_alone(desk):
    desk.deliver("msg_1")
    assert "pay up" not in desk.get("/deliveries/msg_1?said=pay+up").text
    assert desk.post("/replay/nobody").status_code == 404
    assert desk.post("/replay/msg_1", receiver=HOSTILE).location.endswith("said=refused")


# Health.


def test_health_counts_what_happened_by_receiver_and_reason(desk, fulfil):
    fulfil.failures = 1

    @desk.whop.on("dispute.created", name="disputes")
    def answer(app, event):
        raise GiveUp("not ours")

    desk.deliver("msg_1")
    desk.deliver("msg_2")
    desk.deliver("msg_2")
    desk.deliver("msg_3", "dispute.created")
    desk.deliver("msg_4", "refund.created")
    desk.deliver("msg_5", "shiny.thing")
    Sender(desk.app, OTHER_SECRET).deliver("payment.succeeded")
    page = desk.text("/health")
    assert "done 4 duplicated 1 failed 1 rejected 1" in page
    assert "fulfil payment.succeeded 1 1 0 0" in page
    assert "disputes dispute.created 0 0 1 0" in page
    assert "1 signature_mismatch" in page
    assert "1 refund.created" in page
    assert "1 an unknown type" in page
    assert "Done within, median" in page
    assert "Nothing happened" not in desk.text("/health?span=week")


def test_health_says_what_the_doctor_found(desk, monkeypatch):
    monkeypatch.setattr(DOCTOR, "_rests_until", -math.inf)
    request = signed({"id": "msg_1", "type": "payment.succeeded", "data": {}}, SECRET.removeprefix("ws_"))
    desk.app.test_client().post("/webhooks/whop", **request).close()
    page = desk.text("/health")
    assert "The doctor says:" in page
    assert "WHOP_WEBHOOK_SECRET" in page


def test_health_leaves_out_what_another_release_has_counted(desk):
    store = Installation.of(desk.app).store
    hour = int(store.clock() // 3600)
    store.tally(
        "shop", {Tally(hour, kind, "of another release"): 3 for kind in ("rejection", "diagnosis", "happening")}
    )
    assert "of another release" not in desk.text("/health")


def test_health_says_when_nobody_runs_what_is_accepted(tmp_path):
    app = new_app(tmp_path, WHOP_STORE="sqlite:///whop.sqlite3", WHOP_DISPATCH="worker")
    desk = Desk(app, whop_of(app))
    assert "start `flask whop work`" in desk.text("/health")


def test_a_store_that_is_down_is_told_without_its_address(desk, monkeypatch):
    def down(*_args, **_about):
        raise StoreUnavailable("postgresql://shop:password@db")

    monkeypatch.setattr("flask_whop.stores.sqlite.SqliteStore.find", down)
    answer = desk.get("/")
    assert answer.status_code == 503
    assert "password" not in answer.text


# Sending.


def test_in_debug_mode_it_sends_an_event_with_what_was_typed(desk):
    desk.app.debug = True
    received = []
    desk.whop.on("payment.succeeded", name="fulfil")(lambda app, event: received.append(event.raw["data"]))
    form = desk.get("/send?type=payment.succeeded").text
    assert 'name="data.user.email"' in form
    answer = desk.post("/send", **{"type": "payment.succeeded", "data.user.email": "x@y.z", "data.status": ""})
    assert "Answered 200 processed" in answer.text
    assert received[0]["user"]["email"] == "x@y.z"
    assert received[0]["status"] is None
    assert desk.listed() != []


def test_each_event_has_a_form_that_can_be_sent(desk):
    from flask_whop.signals import EVENT_SIGNALS

    desk.app.debug = True
    for event_type in EVENT_SIGNALS:
        assert "Answered 200 unhandled" in desk.post("/send", type=event_type).text, event_type


@pytest.mark.parametrize("query", ["payment.succeeded", "payment.succeeded&pin=2026-10-15-1", "membership.updated"])
def test_a_form_that_nobody_changes_sends_what_it_shows(desk, query):
    desk.app.debug = True
    received = []
    desk.whop.on("*", name="all")(lambda app, event: received.append(event.raw["data"]))
    page = desk.get(f"/send?type={query}").text
    form = dict(re.findall(r'<input [^>]*name="([^"]*)" value="([^"]*)"', page.partition('method="post"')[2]))
    shown = {name: html.unescape(value) for name, value in form.items()}
    assert "Answered 200 processed" in desk.post("/send", **shown).text
    assert len(shown) > 20
    for name, value in shown.items():
        if name.startswith("data."):
            held = received[0]
            for step in name.split(".")[1:]:
                held = held[int(step)] if isinstance(held, list) else held[step]
            assert value in ("" if held is None else held, json.dumps(held)), name


def test_what_it_cannot_send_is_told(desk):
    desk.app.debug = True
    page = desk.get("/send?type=nothing.here")
    assert page.status_code == 200
    assert 'role="alert"' in page.text


def test_without_debug_mode_nothing_is_sent(desk):
    assert desk.get("/send").status_code == 404
    assert desk.post("/send", type="payment.succeeded").status_code == 404
    assert ">Send<" not in desk.get().text


# Attackers.


@pytest.mark.parametrize("escaping", [True, False])
def test_no_text_from_outside_becomes_markup(tmp_path, escaping):
    app = new_app(tmp_path, WHOP_STORE="sqlite:///whop.sqlite3")
    app.jinja_env.autoescape = escaping  # the app's own templates are none of ours
    desk = Desk(app, whop_of(app))

    @desk.whop.on("*", name=f"fulfil{HOSTILE}")
    def fulfil(app, event):
        raise ValueError(HOSTILE)

    desk.deliver("msg_1", HOSTILE, data={"id": HOSTILE, HOSTILE: [HOSTILE]}, company_id=HOSTILE)
    query = {"q": HOSTILE, "type": HOSTILE, "account": HOSTILE, "receiver": HOSTILE, "state": HOSTILE, "said": HOSTILE}
    for path in ("/", "/live", "/health", "/deliveries/msg_1"):
        for page in (desk.get(path), desk.get(path, query_string={**query, "payload": "tree"})):
            assert "<script>" not in page.text
            assert "\u202e" not in page.text
            assert page.headers.get("Location") is None
    assert "<script>" not in desk.get("/deliveries/msg_1?payload=json").text


def test_a_payload_that_is_deep_or_wide_is_shown_in_part(desk):
    deep: object = "end"
    for _ in range(400):
        deep = {"in": deep}
    desk.deliver("msg_deep", data={"id": "pay_1", "deep": deep})
    desk.deliver("msg_wide", data={"id": "pay_1", "wide": list(range(9000))})
    assert "It goes deeper" in desk.text("/deliveries/msg_deep?payload=tree")
    assert "There is more" in desk.text("/deliveries/msg_wide?payload=tree")
    for delivery_id in ("msg_deep", "msg_wide"):
        assert desk.get(f"/deliveries/{delivery_id}?payload=json").status_code == 200


def test_a_large_payload_does_not_grow_by_its_indentation(desk):
    deep: object = [0] * 50_000
    for _ in range(60):
        deep = [deep]
    desk.deliver("msg_1", data={"id": "pay_1", "deep": deep})
    assert len(desk.get("/deliveries/msg_1?payload=json").text) < 400_000


def test_a_field_without_a_name_is_shown(desk):
    desk.deliver("msg_1", data={"id": "pay_1", "": "unnamed"})
    assert "(empty) unnamed" in desk.text("/deliveries/msg_1?payload=tree")


def test_pages_lead_from_one_to_the_next_however_long_an_id_is(desk):
    ids = [f"msg_{number:03}{'x' * 248}" for number in range(51)]
    for delivery_id in ids:
        desk.deliver(delivery_id)
    query = re.search(r'id="older".*?\?([^"]*)"', desk.get("/").text)[1]
    assert desk.listed(f"?{html.unescape(query)}") == [ids[0]]


def test_secrets_in_a_payload_stay_hidden(desk):
    desk.deliver("msg_1", data={"id": "pay_1", "note": SECRET})
    for form in ("tree", "json"):
        assert SECRET not in desk.get(f"/deliveries/msg_1?payload={form}").text
