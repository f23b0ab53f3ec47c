"""The tests of a small shop, as its developer writes them: nothing but public names is imported.

test_kit_plugin.py runs this very file in a directory of its own too, on two workers, without the fixture `whop` below.
"""

from __future__ import annotations

import unittest
from datetime import timedelta

import pytest
from flask import Flask

from flask_whop import GiveUp, RetryLater, WhopWebhooks
from flask_whop.events import PaymentSucceeded, RefundCreated
from flask_whop.testing import Answer, FakeClock, WhopSimulator, WhopTestClient, isolated_signals


class Shop:
    """Sells memberships, if the warehouse is open."""

    def __init__(self):
        self.fulfilled = []
        self.refunded = []
        self.warehouse_is_open = True
        self.database_is_up = True


def create_app(shop):
    app = Flask("shop")
    app.config["WHOP_WEBHOOK_SECRET"] = "ws_" + "0f1e2d3c4b5a6978" * 4
    webhooks = WhopWebhooks(app)

    @webhooks.on(PaymentSucceeded)
    def fulfil(app, event, **extra):
        if event.data.plan_id == "plan_withdrawn":
            raise GiveUp("this plan is not sold any more")
        if not shop.warehouse_is_open:
            raise RetryLater("the warehouse is closed", after=3600)
        shop.fulfilled.append(event.data.user_id)

    @webhooks.on(RefundCreated)
    def refund(app, event, **extra):
        if not shop.database_is_up:
            raise ConnectionError("no database")
        shop.refunded.append(event.data.id)

    return app


@pytest.fixture
def shop():
    return Shop()


@pytest.fixture
def app(shop):
    return create_app(shop)


# The tests of flask_whop have another fixture of this name; where nobody has, it is there by itself.
@pytest.fixture
def whop(app):
    with WhopTestClient(app) as client:
        yield client


def test_a_payment_is_fulfilled(whop, shop):
    whop.deliver("payment.succeeded")
    assert len(shop.fulfilled) == 1


def test_a_payment_is_fulfilled_for_whoever_paid(whop, shop):
    answer = whop.deliver(PaymentSucceeded, data={"user": {"id": "user_ada"}})
    assert shop.fulfilled == ["user_ada"]
    assert (answer.status_code, answer.status) == (200, "processed")
    assert answer.event.data.user_id == "user_ada"


def test_a_payment_of_a_pinned_webhook_is_fulfilled_too(whop, shop):
    whop.deliver("payment.succeeded", pin="2026-10-15-1", data={"user_id": "user_ada"})
    assert shop.fulfilled == ["user_ada"]


def test_a_payment_that_is_delivered_twice_is_fulfilled_once(whop, shop):
    first = whop.deliver("payment.succeeded", id="msg_1")
    assert whop.redeliver(first).status == "duplicate"
    assert len(shop.fulfilled) == 1


def test_nothing_is_fulfilled_while_the_warehouse_is_closed(whop, shop):
    shop.warehouse_is_open = False
    answer = whop.deliver("payment.succeeded", check=False)
    assert (answer.status, answer.retry_after) == ("retry_later", 3600)
    shop.warehouse_is_open = True
    whop.redeliver()
    assert len(shop.fulfilled) == 1


def test_a_plan_that_is_not_sold_is_given_up(whop, shop):
    whop.deliver("payment.succeeded", data={"plan": {"id": "plan_withdrawn"}}, check=False)
    whop.assert_failed(GiveUp, receiver="fulfil")
    assert shop.fulfilled == []


def test_a_forged_payment_is_not_fulfilled(whop, shop):
    answer = whop.deliver("payment.succeeded", secret="ws_" + "guessed0" * 8, check=False)
    assert answer.status_code == 401
    assert shop.fulfilled == []
    whop.assert_not_received("payment.*")


def test_a_delivery_that_was_recorded_is_no_good_ten_minutes_later(whop):
    assert whop.deliver("payment.succeeded", age=timedelta(minutes=10), check=False).status_code == 401


def test_a_refund_waits_for_the_database(whop, shop):
    shop.database_is_up = False
    assert whop.deliver("refund.created", check=False).status_code == 500
    whop.assert_failed(ConnectionError)
    shop.database_is_up = True
    whop.clock.advance(timedelta(seconds=30))
    assert whop.redeliver().status == "processed"
    [refund] = whop.assert_received(RefundCreated, times=1)
    assert shop.refunded == [refund.data.id]


def test_no_payment_of_a_bad_weekend_is_lost(app):
    simulator = WhopSimulator(app, duplicates=0.2, disorder=timedelta(minutes=5))
    warehouse = simulator.receiver("payment.succeeded", failing_for=timedelta(hours=48))
    payments = simulator.happens("payment.succeeded", times=72, every=timedelta(hours=1))
    report = simulator.run()
    assert report.lost == ()
    assert sorted(warehouse.effects) == sorted(payments)
    assert report.disabled_at is None


class TestTheShopWithUnittest(unittest.TestCase):
    def setUp(self):
        self.shop = Shop()
        self.whop = WhopTestClient(create_app(self.shop), clock=FakeClock())
        self.addCleanup(self.whop.close)

    def test_a_payment_is_fulfilled(self):
        answer = self.whop.deliver("payment.succeeded")
        self.assertIsInstance(answer, Answer)
        self.assertEqual(len(self.shop.fulfilled), 1)

    @isolated_signals()
    def test_a_failing_receiver_fails_the_test(self):
        self.shop.database_is_up = False
        with self.assertRaisesRegex(AssertionError, "refund raised ConnectionError"):
            self.whop.deliver("refund.created")
