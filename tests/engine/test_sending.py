"""Sending: every receiver on its own, asynchronous ones too, and signals that tell what becomes of it."""

from __future__ import annotations

import asyncio
import logging

import pytest
from flask import got_request_exception

from flask_whop import GiveUp, RetryLater, WhopWebhooks
from flask_whop.signals import (
    delivery_duplicated,
    delivery_processed,
    delivery_received,
    delivery_rejected,
    event_unhandled,
    payload_drifted,
    payment_succeeded,
    receiver_failed,
)
from tests.shop import PATH


@pytest.fixture
def told():
    """The lifecycle signals that were sent, in order."""
    sent = []
    for signal in (
        delivery_received,
        delivery_rejected,
        delivery_processed,
        delivery_duplicated,
        receiver_failed,
        event_unhandled,
        payload_drifted,
    ):
        signal.connect(lambda app, name=signal.name, **about: sent.append((name, about)))
    return sent


def names(told):
    return [name for name, _ in told]


def test_a_delivery_is_received_and_processed(sender, told):
    payment_succeeded.connect(lambda app, event: None)
    sender.deliver("payment.succeeded", id="msg_told")
    assert names(told) == ["delivery_received", "delivery_processed"]
    delivery, event = told[1][1]["delivery"], told[1][1]["event"]
    assert (delivery.id, delivery.secret_index, event.type) == ("msg_told", 0, "payment.succeeded")


def test_an_event_without_receivers_is_told_as_unhandled(sender, told):
    sender.deliver("payment.succeeded")
    assert names(told) == ["delivery_received", "event_unhandled", "delivery_processed"]


def test_a_duplicate_is_told_as_one(sender, told):
    for _ in range(2):
        sender.deliver("payment.succeeded", id="msg_dup")
    assert names(told)[3:] == ["delivery_received", "delivery_duplicated"]


def test_a_rejection_is_told_with_a_reason_that_programs_can_read(app, sender, told):
    app.test_client().post(PATH, data=b"{}", headers={"webhook-id": "msg_forged"})
    [(name, about)] = told
    assert (name, about["rejection"].reason, about["rejection"].reason.status) == (
        "delivery_rejected",
        "headers_missing",
        401,
    )


def test_a_failing_receiver_is_told_with_its_name_and_error(sender, told):
    @payment_succeeded.connect
    def fails(app, event):
        raise LookupError("no such order")

    sender.deliver("payment.succeeded")
    assert names(told) == ["delivery_received", "receiver_failed"]
    about = told[1][1]
    assert about["receiver"].endswith("fails")
    assert isinstance(about["error"], LookupError)


def test_drift_is_told_when_the_payload_was_read_or_somebody_listens(sender, told):
    sender.deliver("identity_profile.updated", {"id": "idpf_1", "email": 7})
    assert names(told) == ["delivery_received", "event_unhandled", "payload_drifted", "delivery_processed"]
    assert told[2][1]["event"].drift == ("data.email",)


def test_a_lifecycle_receiver_that_raises_spoils_nothing(sender, caplog):
    seen = []
    delivery_received.connect(lambda app, delivery: 1 / 0)
    payment_succeeded.connect(lambda app, event: seen.append(event))
    assert sender.deliver("payment.succeeded").status_code == 200
    assert len(seen) == 1
    assert "ZeroDivisionError" in caplog.text


def test_hazard_what_a_receiver_raises_reaches_error_trackers_and_the_log(app, sender, caplog):
    tracked = []
    error = RuntimeError("out of stock")

    @payment_succeeded.connect
    def fails(app, event):
        raise error

    def track(sender, exception, **extra):
        tracked.append((sender, exception))

    with got_request_exception.connected_to(track, app):
        sender.deliver("payment.succeeded", id="msg_tracked")

    assert tracked == [(app, error)]
    [record] = [record for record in caplog.records if record.exc_info]
    assert record.name == "flask_whop"
    assert "fails failed with payment.succeeded msg_tracked" in record.getMessage()
    assert "out of stock" in caplog.text


def test_an_error_tracker_that_raises_spoils_nothing(app, sender, caplog):
    ran = []

    def track(sender, exception, **extra):
        raise OSError("the tracker is down")

    payment_succeeded.connect(lambda app, event: 1 / 0)
    payment_succeeded.connect(lambda app, event: ran.append(event), name="second")
    with got_request_exception.connected_to(track, app):
        assert sender.deliver("payment.succeeded").status_code == 500
    assert len(ran) == 1
    assert "the tracker is down" in caplog.text


@pytest.mark.parametrize("raised", [GiveUp("no"), RetryLater("not now", after=5)])
def test_words_that_a_receiver_says_are_no_errors_to_track(sender, raised):
    tracked = []

    @payment_succeeded.connect
    def says(app, event):
        raise raised

    def track(sender, exception, **extra):
        tracked.append(exception)

    with got_request_exception.connected_to(track):
        sender.deliver("payment.succeeded")
    assert tracked == []


def test_one_failure_besides_a_wish_to_wait_is_a_failure(sender):
    @payment_succeeded.connect
    def waits(app, event):
        raise RetryLater(after=500)

    @payment_succeeded.connect
    def fails(app, event):
        raise RuntimeError

    assert sender.deliver("payment.succeeded").status_code == 500


class AsyncCallable:
    """An object whose call gives a coroutine."""

    def __init__(self, ran):
        self.ran = ran

    async def __call__(self, app, event):
        await asyncio.sleep(0)
        self.ran.append("object")


def test_hazard_asynchronous_receivers_are_awaited_also_in_disguise(sender):
    ran = []

    @payment_succeeded.connect
    async def plain(app, event):
        await asyncio.sleep(0)
        ran.append("plain")

    def sync(app, event):
        return plain(app, event)

    payment_succeeded.connect(AsyncCallable(ran))
    payment_succeeded.connect(sync)
    payment_succeeded.connect(lambda app, event: Awaited(ran))

    assert sender.deliver("payment.succeeded").status_code == 200
    assert ran == ["plain", "object", "plain", "awaited"]


class Awaited:
    """Something of one's own that can be awaited."""

    def __init__(self, ran):
        self.ran = ran

    def __await__(self):
        self.ran.append("awaited")
        return iter(())


def test_an_asynchronous_receiver_that_raises_has_failed(sender):
    @payment_succeeded.connect
    async def fails(app, event):
        raise RuntimeError

    assert sender.deliver("payment.succeeded").status_code == 500


def test_a_disguised_coroutine_without_asgiref_is_a_failure_with_the_line_to_install_it(
    app, sender, monkeypatch, caplog
):
    def no_asgiref(func):
        raise RuntimeError("Install Flask with the 'async' extra in order to use async views.")

    monkeypatch.setattr(app, "async_to_sync", no_asgiref)

    async def coroutine():
        """Never runs."""

    payment_succeeded.connect(lambda app, event: coroutine())
    assert sender.deliver("payment.succeeded").status_code == 500
    assert 'pip install "flask-whop[async]"' in caplog.text


def test_an_awaitable_of_ones_own_without_asgiref_is_a_failure_too(app, sender, monkeypatch):
    monkeypatch.setattr(app, "async_to_sync", lambda func: (_ for _ in ()).throw(RuntimeError("no asgiref")))
    payment_succeeded.connect(lambda app, event: Awaited([]))
    assert sender.deliver("payment.succeeded").status_code == 500


# The log: one line a delivery, and nothing that is nobody's business.


def lines(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "flask_whop"]


def test_each_delivery_is_one_line_with_id_type_account_outcome_and_time(sender, caplog):
    payment_succeeded.connect(lambda app, event: None)
    with caplog.at_level(logging.INFO, "flask_whop"):
        sender.deliver("payment.succeeded", id="msg_logged")
    [line] = lines(caplog)
    assert line.startswith(
        "Delivery msg_logged payment.succeeded biz_1: processed, 1 receiver called, 0 failed, secret 0, "
    )
    assert line.endswith(" ms")


def test_a_rejection_is_one_line_with_its_reason_and_what_to_do(app, whop, caplog):
    app.test_client().post(PATH, data=b"{}", headers={"x-whop-signature": "t=1,v1=00"})
    [line] = lines(caplog)
    assert line.startswith("Delivery - rejected: old_format (")
    assert "create a v1 webhook" in line


def test_payloads_secrets_and_signatures_never_reach_the_log(app, sender, caplog, documented):
    private = ["ada@lovelace.example", "London", app.config["WHOP_WEBHOOK_SECRET"], "v1,"]

    @payment_succeeded.connect
    def fails(app, event):
        raise RuntimeError("a text of the receiver's own")

    data = {"id": "idpf_1", "email": private[0], "phone": [private[1]], "verifications": [private[1]]}
    payload_drifted.connect(lambda app, event: event.data)
    with caplog.at_level(logging.DEBUG):
        sender.deliver("payment.succeeded", data)
        sender.deliver("identity_profile.updated", data)
        sender.app.test_client().post(PATH, json={"data": data}, headers={"webhook-id": "msg_1"})
        sender.secret = "ws_another_secret_0123456789"
        sender.deliver("payment.succeeded", data)
    assert lines(caplog)
    for word in private:
        assert word not in caplog.text


def test_nothing_that_a_sender_writes_can_break_a_line_of_the_log(app, sender, caplog):
    with caplog.at_level(logging.INFO, "flask_whop"):
        sender.deliver("comet\nERROR forged line", company_id="biz\r\n1" + "x" * 500)
        app.test_client().post(
            PATH, data=b"{}", headers={"webhook-id": "x y", "webhook-timestamp": "1", "webhook-signature": "v1,"}
        )
    for line in lines(caplog):
        assert "\n" not in line
        assert "\r" not in line
        assert len(line) < 400


def test_the_answer_holds_nothing_of_the_request(app, whop):
    answer = app.test_client().post(PATH, data=b"<script>", headers={"webhook-id": "<script>"})
    assert b"script" not in answer.data
    assert answer.mimetype == "application/json"


def test_the_extension_lives_in_the_apps_extensions(app, whop):
    assert app.extensions["whop"] is whop
    assert isinstance(whop, WhopWebhooks)
