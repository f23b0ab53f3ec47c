"""Lines of the log have their facts as values too, for JSON formatters and error trackers."""

from __future__ import annotations

import json
import logging

import pytest

from flask_whop import GiveUp, RetryLater, WhopWebhooks
from flask_whop.engine.worker import run_due
from tests.shop import OTHER_SECRET, Sender, new_app

PAID = "payment.succeeded"


def facts_of(record):
    return {name: value for name, value in vars(record).items() if name.startswith("whop_")}


def lines(caplog, start):
    return [facts_of(record) for record in caplog.records if record.getMessage().startswith(start)]


@pytest.fixture
def shop(tmp_path, caplog):
    caplog.set_level(logging.INFO, "flask_whop")
    app = new_app(tmp_path, WHOP_STORE="sqlite:///whop.sqlite3")
    return Sender(app), WhopWebhooks(app)


def test_a_delivery_has_its_id_type_account_outcome_and_milliseconds(shop, caplog):
    sender, whop = shop
    whop.on(PAID)(lambda app, event: None)
    sender.deliver(PAID, id="msg_1")
    [facts] = lines(caplog, "Delivery msg_1")
    assert facts.pop("whop_ms") > 0
    assert facts == {
        "whop_delivery": "msg_1",
        "whop_type": PAID,
        "whop_account": "biz_1",
        "whop_outcome": "processed",
    }


def test_a_rejection_has_its_reason(shop, caplog):
    sender, _ = shop
    sender.secret = OTHER_SECRET
    sender.deliver(PAID, id="msg_1")
    [facts] = lines(caplog, "Delivery msg_1")
    assert (facts["whop_outcome"], facts["whop_reason"]) == ("rejected", "signature_mismatch")


@pytest.mark.parametrize(
    ("error", "start"),
    [(ValueError("no"), "mail failed"), (GiveUp("no"), "mail gave up"), (RetryLater(5), "mail asked to retry")],
)
def test_what_a_receiver_raised_has_its_name(shop, caplog, error, start):
    sender, whop = shop

    @whop.on(PAID, name="mail")
    def mail(app, event):
        raise error

    sender.deliver(PAID, id="msg_1")
    [facts] = lines(caplog, start)
    expected = {"whop_delivery": "msg_1", "whop_type": PAID, "whop_account": "biz_1", "whop_receiver": "mail"}
    assert facts == expected


def test_a_worker_says_the_same(tmp_path, caplog):
    caplog.set_level(logging.INFO, "flask_whop")
    app = new_app(tmp_path, WHOP_DISPATCH="worker", WHOP_RETRY_FOR=0.001)

    @WhopWebhooks(app).on(PAID, name="mail")
    def mail(app, event):
        raise ValueError("no")

    Sender(app).deliver(PAID, id="msg_1")
    run_due(app)
    [dead] = lines(caplog, "Delivery msg_1 dead-lettered")
    assert dead["whop_outcome"] == "dead"


def test_whatever_a_sender_writes_is_safe_text_in_the_facts_too(shop, caplog):
    sender, _ = shop
    sender.deliver("evil\n\x1b[31m" + "x" * 5000, id="msg_1", company_id="ws_" + "0" * 64)
    [facts] = lines(caplog, "Delivery msg_1")
    assert json.dumps(facts, ensure_ascii=False).isprintable()
    assert len(facts["whop_type"]) <= 255
    assert facts["whop_account"] == "ws_***"
