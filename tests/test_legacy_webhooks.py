"""Webhooks of Whop's legacy format (v2, v5) are taken where the app says so."""

from __future__ import annotations

import json
import pickle
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_whop import WhopWebhooks
from flask_whop.engine.installation import Installation
from flask_whop.engine.worker import run_due
from flask_whop.errors import Reason, Rejected
from flask_whop.events import MembershipWentValid, PaymentSucceeded, UnknownEvent
from flask_whop.signals import delivery_rejected
from flask_whop.signature import Verifier, sign_legacy
from tests import examples
from tests.shop import OTHER_SECRET, SECRET, good_headers, new_app, post

BODY = json.dumps(
    {
        "api_version": "v5",
        "action": "membership.went_valid",
        "data": {
            "id": "mem_1",
            "created_at": 1_760_000_000,
            "renewal_period_end": 1_762_592_000,
            "license_key": "A-B-C",
            "discord": {"id": "815"},
            "product_id": "prod_1",
        },
    }
).encode()
PAID = b'{"action": "payment.succeeded", "data": {"id": "pay_1", "final_amount": "12.50", "created_at": 1760000000}}'


class Shop:
    def __init__(self, folder, **config):
        self.app = new_app(folder, **{"WHOP_LEGACY_WEBHOOKS": True, **config})
        self.got = []
        self.reasons = []
        WhopWebhooks(self.app).on("*")(lambda app, event: self.got.append(event))
        delivery_rejected.connect_via(self.app)(lambda app, rejection: self.reasons.append(rejection.reason))

    def post(self, body=BODY, secret=SECRET, timestamp=None, **headers):
        return post(self.app, {**sign_legacy(body, secret, timestamp=timestamp), **headers}, body)


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path)


def test_an_action_becomes_the_event_of_that_name(shop):
    assert shop.post().json == {"status": "processed"}
    [event] = shop.got
    assert type(event) is MembershipWentValid
    assert event.id.startswith("legacy_")
    assert (event.api_version, event.api_version_date, event.account_id, event.timestamp) == ("v5", None, None, None)
    assert event.data.id == "mem_1"
    assert event.data.license_key == "A-B-C"
    assert event.data.created_at.timestamp() == 1_760_000_000
    assert event.drift == ()
    assert event.raw == json.loads(BODY)


def test_prices_are_texts_and_times_are_seconds(shop):
    shop.post(PAID)
    [event] = shop.got
    assert type(event) is PaymentSucceeded
    assert event.api_version == "v2"
    assert event.data.created_at.timestamp() == 1_760_000_000
    assert Decimal(event.raw["data"]["final_amount"]) == Decimal("12.50")


@pytest.mark.parametrize("company", ["biz_1", {"id": "biz_1", "title": "Shop"}])
def test_an_app_webhook_says_whose_event_it_is(tmp_path, company):
    shop = Shop(tmp_path, WHOP_ACCOUNTS="biz_1")
    body = json.dumps({"action": "app_membership.went_valid", "data": {}, "company": company}).encode()
    assert shop.post(body).status_code == 200
    assert shop.got[0].account_id == "biz_1"
    other = body.replace(b"biz_1", b"biz_2")
    assert shop.post(other).status_code == 403


def test_an_action_that_is_not_known_is_an_unknown_event(shop):
    shop.post(b'{"action": "rocket.launched", "data": {"id": "r_1"}}')
    [event] = shop.got
    assert type(event) is UnknownEvent
    assert event.type == "rocket.launched"


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"action": 7}', b'{"action": "payment.succeeded"}', b"\xff"])
def test_a_body_that_is_no_event_never_raises(shop, body):
    assert shop.post(body).status_code in (200, 400, 401)


def test_a_delivery_is_known_by_its_body(shop):
    assert shop.post().json == {"status": "processed"}
    assert shop.post(timestamp=int(Installation.of(shop.app).verifier.clock()) - 30).json == {"status": "duplicate"}
    assert shop.post(BODY + b" ").json == {"status": "processed"}
    assert len(shop.got) == 2


def test_a_worker_reads_it_from_the_store_as_it_came(tmp_path):
    shop = Shop(tmp_path, WHOP_DISPATCH="worker")
    assert shop.post().json == {"status": "accepted"}
    run_due(shop.app)
    assert type(shop.got[0]) is MembershipWentValid


def test_an_event_is_pickled_as_it_came(shop):
    shop.post()
    again = pickle.loads(pickle.dumps(shop.got[0]))
    assert (type(again), again.id, again.data.id) == (MembershipWentValid, shop.got[0].id, "mem_1")


@pytest.mark.parametrize(("age", "reason"), [(301, Reason.TIMESTAMP_TOO_OLD), (-301, Reason.TIMESTAMP_TOO_NEW)])
def test_its_time_is_judged_as_in_todays_format(shop, age, reason):
    assert shop.post(timestamp=int(Installation.of(shop.app).verifier.clock()) - age).status_code == 401
    assert shop.reasons == [reason]


def test_every_configured_secret_is_tried_and_no_other(tmp_path):
    shop = Shop(tmp_path, WHOP_WEBHOOK_SECRET=[OTHER_SECRET, SECRET])
    assert shop.post().status_code == 200
    assert shop.post(secret="ws_" + "0123456789abcdef" * 4).status_code == 401
    assert shop.reasons == [Reason.SIGNATURE_MISMATCH]


def test_a_changed_body_is_refused(shop):
    headers = sign_legacy(BODY, SECRET)
    assert post(shop.app, headers, BODY.replace(b"mem_1", b"mem_2")).status_code == 401
    assert shop.got == []


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_request_with_any_header_of_todays_format_is_judged_by_it(shop, name):
    body = b'{"id":"msg_1","type":"payment.succeeded","data":{"id":"pay_1"}}'
    headers = good_headers(body)
    assert post(shop.app, headers | sign_legacy(body, OTHER_SECRET), body).status_code == 200
    assert shop.post(body, **{name: headers[name]}).status_code == 401


def test_without_the_setting_it_is_refused_and_the_log_names_the_setting(tmp_path, caplog):
    shop = Shop(tmp_path, WHOP_LEGACY_WEBHOOKS=False)
    assert shop.post().status_code == 401
    assert shop.reasons == [Reason.OLD_FORMAT]
    assert "WHOP_LEGACY_WEBHOOKS = True" in caplog.text


def test_the_signature_doctor_explains_a_legacy_request_too(shop, tmp_path):
    def explained(headers, body=BODY):
        lines = [f"{name}: {value}" for name, value in headers.items()]
        (tmp_path / "captured.txt").write_bytes("\n".join(lines).encode() + b"\n\n" + body)
        result = shop.app.test_cli_runner().invoke(args=["whop", "doctor", "--request", str(tmp_path / "captured.txt")])
        return result.output

    now = int(Installation.of(shop.app).verifier.clock())
    assert "The signature is good" in explained(sign_legacy(BODY, SECRET))
    assert "clock_fast" in explained(sign_legacy(BODY, SECRET, timestamp=now - 4000))
    assert "sender_alters" in explained(sign_legacy(BODY, SECRET.removeprefix("ws_")))


VERIFIER = Verifier([SECRET], legacy=True)
GOOD = sign_legacy(BODY, SECRET)["x-whop-signature"]
PIECES = st.sampled_from(
    [
        *GOOD.split(","),
        "t=",
        "v1=",
        ",",
        " ",
        "t=0",
        "t=1" * 3,
        "v1=" + "g" * 64,
        "v1=" + "0" * 64,
        "t=1760000000,",
        "\x00",
        "\u0661",
    ]
)


@given(st.one_of(st.text(max_size=300), st.lists(PIECES, max_size=8).map(",".join), st.lists(PIECES).map("".join)))
@settings(max_examples=examples(300))
def test_no_header_is_accepted_unless_it_holds_one_time_and_its_signature(value):
    try:
        VERIFIER.verify({"x-whop-signature": value}, BODY)
    except Rejected:
        return
    words = value.replace(" ", ",").split(",")
    assert [word for word in words if word.startswith("t=")] == [GOOD.split(",")[0]]
    assert GOOD.split(",")[1] in words


@pytest.mark.parametrize("more", ["t=", "t=0", "t=x", "t=17.5", "t=1760000000"])
def test_a_second_time_is_refused_whatever_it_is(more):
    with pytest.raises(Rejected) as refused:
        VERIFIER.verify({"x-whop-signature": f"{GOOD},{more}"}, BODY)
    assert refused.value.reason is Reason.TIMESTAMP_MALFORMED


def test_a_huge_header_costs_nothing():
    with pytest.raises(Rejected) as refused:
        VERIFIER.verify({"x-whop-signature": GOOD + ",v1=" + "0" * 64 * 200}, BODY)
    assert refused.value.reason is Reason.SIGNATURE_MALFORMED
