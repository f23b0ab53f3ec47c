"""A delivery that new code accepted waits for its receivers, though old code comes first to run it."""

from __future__ import annotations

import pytest
from flask import Flask

from flask_whop import WhopWebhooks, signals
from flask_whop.engine.worker import Worker
from flask_whop.signals import payment_succeeded
from flask_whop.stores import Key, ReceiptState, State
from tests.shop import SECRET, Sender
from tests.stores import DURABLE, opened


class Shop:
    """An app whose receiver ``new`` is in its new code alone."""

    def __init__(self, app, store):
        self.app, self.store = app, store
        app.config.update(WHOP_WEBHOOK_SECRET=SECRET, WHOP_DISPATCH="worker", WHOP_RETRY_FOR=1000)
        self.whop = WhopWebhooks(app, store=store)
        self.ran = []
        self.whop.on("payment.succeeded", name="old")(lambda app, event: self.ran.append("old"))
        self.deploy()

    def new(self, app, event):
        self.ran.append("new")

    def deploy(self, **terms):
        payment_succeeded.connect(self.new, self.app, name=terms.pop("name", "new"), **terms)

    def roll_back(self):
        payment_succeeded.disconnect(self.new, self.app)

    def deliver(self):
        return Sender(self.app).deliver("payment.succeeded", id="msg_1").json["status"]

    def work(self):
        with self.app.app_context():
            Worker(self.app).run(once=True)

    def advance(self, seconds):
        now = self.store.clock()
        self.store.clock = lambda: now + seconds

    def state(self):
        with self.app.app_context():
            return self.store.get(Key("shop", "msg_1")).state

    def receipts(self):
        with self.app.app_context():
            return {one.receiver: one for one in self.store.receipts(Key("shop", "msg_1"))}

    def run(self, *arguments, **how):
        return self.app.test_cli_runner().invoke(args=["whop", "deliveries", *arguments], **how)


@pytest.fixture(params=DURABLE)
def shop(request, tmp_path):
    app = Flask("shop", instance_path=str(tmp_path))
    with opened(request.param, app) as store:
        yield Shop(app, store)


def test_a_worker_on_old_code_leaves_what_new_code_has_a_receiver_for(shop):
    shop.deliver()
    shop.roll_back()
    shop.work()
    assert (shop.ran, shop.state()) == (["old"], State.DUE)
    kept = shop.receipts()["new"]
    assert (kept.state, kept.attempts) == (ReceiptState.FAILED, 0)
    assert "they run different code" in kept.error
    shop.deploy()
    shop.advance(60)
    shop.work()
    assert (shop.ran, shop.state()) == (["old", "new"], State.DONE)
    assert shop.receipts()["new"].attempts == 1


def test_a_receiver_that_never_comes_back_is_a_dead_letter_with_the_reason_in_the_end(shop):
    dead = []
    signals.delivery_dead_lettered.connect_via(shop.app)(lambda app, delivery, event: dead.append(delivery.id))
    shop.deliver()
    shop.roll_back()
    for _ in range(12):
        shop.work()
        shop.advance(120)
    assert (shop.ran, shop.state(), dead) == (["old"], State.DEAD, ["msg_1"])
    assert shop.receipts()["new"].state is ReceiptState.DEAD
    assert "drop it with `flask whop deliveries drop`" in shop.receipts()["new"].error


def test_a_receiver_that_was_renamed_is_the_one_that_is_waited_for(shop):
    shop.deliver()
    shop.roll_back()
    shop.deploy(name="newer", was="new")
    shop.work()
    assert (shop.ran, shop.state()) == (["old", "new"], State.DONE)


def test_what_was_accepted_for_nobody_is_unhandled(shop):
    told = []
    signals.event_unhandled.connect_via(shop.app)(lambda app, event: told.append(event.id))
    Sender(shop.app).deliver("refund.created", id="msg_1")
    shop.work()
    assert (told, shop.state()) == (["msg_1"], State.DONE)


def test_a_receiver_that_has_come_since_is_called_too(shop):
    shop.roll_back()
    shop.deliver()
    shop.deploy()
    shop.work()
    assert (shop.ran, shop.state()) == (["old", "new"], State.DONE)


@pytest.mark.parametrize("state", [State.DUE, State.DEAD])
def test_a_receiver_that_is_gone_for_good_is_dropped(shop, state):
    shop.deliver()
    shop.roll_back()
    shop.work()
    for _ in range(12 * (state is State.DEAD)):
        shop.advance(120)
        shop.work()
    assert shop.state() is state
    assert shop.run("drop", "new", input="n\n").exit_code == 1
    result = shop.run("drop", "new", "--yes")
    assert (result.exit_code, result.output) == (0, "Dropped new from 1 delivery, due now for a worker.\n")
    shop.work()
    assert (shop.ran, shop.state()) == (["old"], State.DONE)
    assert shop.receipts()["new"].state is ReceiptState.SKIPPED
    assert shop.run("drop", "new").output == "No delivery waits for a receiver called new.\n"
