"""The main job: a genuine delivery becomes one call with a typed event, and an answer by who owns the retry."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest
from flask import Flask, got_request_exception, request

from flask_whop import GiveUp, RetryLater, WhopWebhooks
from flask_whop.blueprint import _answer
from flask_whop.engine import Outcome, Status
from flask_whop.errors import StoreUnavailable
from flask_whop.events import IdentityProfileNeedsAction, parse_event
from flask_whop.signals import identity_profile_needs_action, payment_succeeded
from flask_whop.stores import MemoryStore
from flask_whop.testing import signed
from tests.shop import PATH, SECRET, Sender


def test_the_documented_payload_calls_the_receiver_once_with_a_typed_event(app, sender, documented):
    calls = []

    @identity_profile_needs_action.connect
    def ask_again(app, event, **extra):
        calls.append((app, event))

    answer = sender.send(documented, delivery_id="msg_documented")

    assert (answer.status_code, answer.json) == (200, {"status": "processed"})
    [(called_with, event)] = calls
    assert called_with is app
    assert isinstance(event, IdentityProfileNeedsAction)
    assert event.type == "identity_profile.needs_action"
    assert event.account_id == "biz_xxxxxxxxxxxxxx"
    assert event.timestamp == datetime(2025, 1, 1, tzinfo=timezone.utc)
    assert event.data.email == "<string>"
    assert event.data.verifications[0].last_error_reason == "Document image was too blurry to read."
    assert event.data.verifications[0].session_url == "https://verify.stripe.com/session/abc123"
    assert event.drift == ()
    assert event.raw == json.loads(documented)


def test_the_pinned_shape_reaches_the_same_receiver(sender):
    events = []
    identity_profile_needs_action.connect(lambda app, event: events.append(event))

    body = {
        "id": "msg_pinned",
        "api_version": "v1",
        "api_version_date": "2026-10-15-1",
        "timestamp": "2026-11-02T10:00:00.123Z",
        "type": "identity_profile.needs_action",
        "account_id": "biz_9",
        "data": {"id": "idpf_1"},
    }
    assert sender.send(body).status_code == 200

    [event] = events
    assert (event.data.id, event.account_id, event.api_version_date) == ("idpf_1", "biz_9", "2026-10-15-1")
    assert event.data.verifications == ()
    assert event.drift == ()


def test_an_event_that_nobody_handles_is_answered_200(sender):
    answer = sender.deliver("payment.succeeded")
    assert (answer.status_code, answer.json) == (200, {"status": "unhandled"})


def test_a_failing_receiver_is_answered_500_after_all_have_run(sender):
    ran = []

    @payment_succeeded.connect
    def fails(app, event):
        ran.append("fails")
        raise RuntimeError

    payment_succeeded.connect(lambda app, event: ran.append("works"))

    answer = sender.deliver("payment.succeeded")

    assert ran == ["fails", "works"]
    assert answer.status_code == 500
    assert answer.json["status"] == "failed"
    assert "only the unfinished receivers" in answer.json["message"]


def test_the_retry_runs_only_the_receivers_that_have_not_succeeded(sender):
    ran = []

    @payment_succeeded.connect
    def works(app, event):
        ran.append("works")

    @payment_succeeded.connect
    def fails_once(app, event):
        ran.append("fails_once")
        if ran.count("fails_once") == 1:
            raise RuntimeError

    answers = [sender.deliver("payment.succeeded", id="msg_retried").status_code for _ in range(3)]

    assert answers == [500, 200, 200]
    assert ran == ["works", "fails_once", "fails_once"]


def test_a_duplicate_of_a_finished_delivery_runs_nothing_and_is_answered_200(sender):
    calls = []
    payment_succeeded.connect(lambda app, event: calls.append(event.id))

    first = sender.deliver("payment.succeeded", id="msg_twice")
    second = sender.deliver("payment.succeeded", id="msg_twice")

    assert (first.json["status"], second.json["status"], second.status_code) == ("processed", "duplicate", 200)
    assert calls == ["msg_twice"]


def test_a_duplicate_of_a_running_delivery_is_answered_409_and_runs_nothing(sender):
    inner = []

    @payment_succeeded.connect
    def delivers_again(app, event):
        inner.append(sender.deliver("payment.succeeded", id="msg_running"))

    assert sender.deliver("payment.succeeded", id="msg_running").status_code == 200
    [answer] = inner
    assert answer.status_code == 409
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json["status"] == "running"


def test_a_receiver_that_gives_up_is_final_and_leaves_the_retry_to_nobody(sender):
    calls = []

    @payment_succeeded.connect
    def gives_up(app, event):
        calls.append(event)
        raise GiveUp

    assert [sender.deliver("payment.succeeded", id="msg_final").status_code for _ in range(2)] == [200, 200]
    assert len(calls) == 1


def test_a_receiver_that_wants_to_be_called_later_is_called_again_at_the_retry(sender):
    calls = []

    @payment_succeeded.connect
    def not_now(app, event):
        calls.append(event)
        if len(calls) == 1:
            raise RetryLater(after=90)

    answer = sender.deliver("payment.succeeded", id="msg_later")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "90")
    assert sender.deliver("payment.succeeded", id="msg_later").status_code == 200
    assert len(calls) == 2


def test_an_event_of_an_account_that_is_not_ours_is_answered_403(app):
    app.config["WHOP_ACCOUNTS"] = ["biz_ours"]
    WhopWebhooks(app)
    sender = Sender(app)

    assert sender.deliver("payment.succeeded", company_id="biz_theirs").status_code == 403
    assert sender.deliver("payment.succeeded", company_id="biz_ours").status_code == 200
    assert sender.deliver("payment.succeeded", company_id=None).status_code == 200


@pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"x"', b"{", b"", b"\x00", b"[" * 200_000])
def test_a_body_that_is_no_json_object_under_a_good_signature_is_answered_400(sender, body):
    answer = sender.send(body)
    assert (answer.status_code, answer.json["status"]) == (400, "rejected")


class BrokenStore(MemoryStore):
    """A store whose database is down."""

    def claim(self, arrival, token, lease):
        raise StoreUnavailable("no connection")


def test_an_unreachable_store_is_answered_503_and_runs_nothing(app):
    calls = []
    errors = []
    payment_succeeded.connect(lambda app, event: calls.append(event))
    got_request_exception.connect(lambda app, exception: errors.append(exception), weak=False)
    WhopWebhooks(app, store=BrokenStore())

    answer = Sender(app).deliver("payment.succeeded")

    assert (answer.status_code, calls) == (503, [])
    assert int(answer.headers["Retry-After"]) > 0
    assert isinstance(errors[-1], StoreUnavailable)


class FaultyStore(MemoryStore):
    """A store with a bug."""

    def claim(self, arrival, token, lease):
        raise ZeroDivisionError


def test_a_fault_of_our_own_is_an_answer_and_never_the_apps_error_page(app):
    @app.errorhandler(Exception)
    def swallow(error):
        return "fine", 200

    WhopWebhooks(app, store=FaultyStore())
    answer = Sender(app).deliver("payment.succeeded")
    assert (answer.status_code, answer.json["status"]) == (500, "failed")


def test_the_error_handlers_of_the_app_never_see_a_failing_receiver(app, sender):
    @app.errorhandler(Exception)
    def swallow(error):
        return "fine", 200

    payment_succeeded.connect(lambda app, event: 1 / 0)
    assert sender.deliver("payment.succeeded").status_code == 500


def test_the_error_handlers_of_the_app_never_see_a_rejection(app, sender):
    @app.errorhandler(401)
    def log_in(error):
        return "", 302, {"Location": "/login"}

    assert app.test_client().post(PATH, data=b"{}").status_code == 401


def test_a_delivery_with_the_slash_too_many_or_too_few_is_not_redirected(app, whop):
    client = app.test_client()
    assert client.post(PATH + "/", **signed({"id": "msg_slash"}, SECRET)).status_code == 200


def test_receivers_run_with_the_app_and_its_request_at_hand(app, sender):
    paths = []
    payment_succeeded.connect(lambda app, event: paths.append(request.path))
    sender.deliver("payment.succeeded")
    assert paths == [PATH]


def test_an_event_without_an_id_goes_by_the_id_of_its_delivery(sender):
    events = []
    payment_succeeded.connect(lambda app, event: events.append(event))
    sender.send({"type": "payment.succeeded", "data": {"id": "pay_1"}}, delivery_id="msg_of_header")
    assert events[0].id == "msg_of_header"


def test_a_receiver_connected_later_gets_the_redelivery_that_others_are_done_with(sender):
    ran = []
    payment_succeeded.connect(lambda app, event: ran.append("first"), name="first")
    sender.deliver("payment.succeeded", id="msg_replayed")
    payment_succeeded.connect(lambda app, event: ran.append("second"), name="second")
    assert sender.deliver("payment.succeeded", id="msg_replayed").json["status"] == "processed"
    assert ran == ["first", "second"]


def test_several_apps_in_one_process_keep_their_deliveries_apart():
    senders = []
    for name in ("one", "two"):
        app = Flask(name)
        app.config["WHOP_WEBHOOK_SECRET"] = SECRET
        app.config["WHOP_STORE"] = "memory://"
        WhopWebhooks(app)
        senders.append(Sender(app))
    names = []
    payment_succeeded.connect(lambda app, event: names.append(app.name))

    assert [sender.deliver("payment.succeeded", id="msg_same").json["status"] for sender in senders] == [
        "processed",
        "processed",
    ]
    assert names == ["one", "two"]


@pytest.mark.parametrize("status", Status)
def test_an_answer_is_2xx_exactly_when_whop_may_forget_the_delivery(app, status):
    outcome = Outcome(status, parse_event(b"{}"), retry_after=5.0)
    with app.app_context():
        assert (_answer(outcome, None).status_code // 100 == 2) is status.owned
