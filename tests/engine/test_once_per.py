"""``once_per=``: of several events of one key, a receiver does one."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask

from flask_whop import GiveUp, WhopWebhooks
from flask_whop.engine.installation import Installation
from flask_whop.engine.worker import run_due
from flask_whop.errors import SetupError
from flask_whop.events import PaymentSucceeded
from flask_whop.stores import Key, Mark, MemoryStore, ReceiptState, Turn
from flask_whop.stores.records import ONCE
from tests.shop import SECRET, Sender
from tests.stores import STORES, opened

PAID = "payment.succeeded"


class Shop:
    def __init__(self, app, store):
        self.app, self.store = app, store
        app.config.update(WHOP_WEBHOOK_SECRET=SECRET, WHOP_RETRY_FIRST=0.01)
        self.whop = WhopWebhooks(app, store=store)
        self.got = []
        self.fails = []

    def book(self, app, event):
        self.got.append(event.id)
        if self.fails:
            raise self.fails.pop()

    def deliver(self, delivery_id, payment="pay_1", **envelope):
        return Sender(self.app).deliver(PAID, {"id": payment}, id=delivery_id, **envelope).json["status"]

    def receipt(self, delivery_id, receiver="book"):
        with self.app.app_context():
            receipts = self.store.receipts(Key(self.app.config.get("WHOP_ENDPOINT") or "shop", delivery_id))
        return next(one for one in receipts if one.receiver == receiver)


@pytest.fixture(params=STORES)
def shop(request, tmp_path):
    app = Flask("shop", instance_path=str(tmp_path))
    with opened(request.param, app) as store:
        yield Shop(app, store)


def payment_of(event):
    return event.data.id


def test_of_two_deliveries_that_tell_the_same_the_first_is_done_and_the_other_names_it(shop):
    shop.whop.on(PaymentSucceeded, name="book", once_per=payment_of)(shop.book)
    assert shop.deliver("msg_1") == "processed"
    assert shop.deliver("msg_2") == "processed"
    assert shop.deliver("msg_3", "pay_2") == "processed"
    assert shop.got == ["msg_1", "msg_3"]
    skipped = shop.receipt("msg_2")
    assert (skipped.state, skipped.attempts) == (ReceiptState.SKIPPED, 0)
    if not isinstance(shop.store, MemoryStore):  # which keeps no texts of what is done
        assert skipped.error == "Not called: delivery msg_1 has done it for the same once_per= key."


def test_a_failure_does_not_use_the_key_up(shop):
    shop.whop.on(PaymentSucceeded, name="book", once_per=payment_of)(shop.book)
    shop.fails.append(ValueError("not yet"))
    assert shop.deliver("msg_1") == "failed"
    assert shop.deliver("msg_2") == "processed"
    assert shop.deliver("msg_1") == "processed", "which skips it now"
    assert shop.got == ["msg_1", "msg_2"]
    assert shop.receipt("msg_1").state is ReceiptState.SKIPPED


def test_who_gives_up_leaves_the_key_to_the_next(shop):
    shop.whop.on(PaymentSucceeded, name="book", once_per=payment_of)(shop.book)
    shop.fails.append(GiveUp("not this one"))
    shop.deliver("msg_1")
    shop.deliver("msg_2")
    assert shop.got == ["msg_1", "msg_2"]
    assert shop.receipt("msg_2").state is ReceiptState.DONE


def test_each_receiver_has_its_own_keys_and_no_key_is_no_limit(shop):
    shop.whop.on(PaymentSucceeded, name="book", once_per=payment_of)(shop.book)
    shop.whop.on(PaymentSucceeded, name="mail", once_per=lambda event: None)(
        lambda app, event: shop.got.append(f"mail {event.id}")
    )
    shop.deliver("msg_1")
    shop.deliver("msg_2")
    assert shop.got == ["msg_1", "mail msg_1", "mail msg_2"]


def test_text_and_number_are_two_keys(shop):
    keys = iter(["1", 1, "1", 1])
    shop.whop.on(PaymentSucceeded, name="book", once_per=lambda event: next(keys))(shop.book)
    for number in range(4):
        shop.deliver(f"msg_{number}")
    assert shop.got == ["msg_0", "msg_1"]


def test_keys_outlive_pruning(shop):
    shop.whop.on(PaymentSucceeded, name="book", once_per=payment_of)(shop.book)
    shop.deliver("msg_1")
    with shop.app.app_context():
        assert shop.store.prune("shop", shop.store.clock() + 1000) == 1
    shop.deliver("msg_2")
    assert shop.got == ["msg_1"]


def test_a_receiver_that_was_renamed_keeps_its_keys(shop):
    shop.whop.on(PaymentSucceeded, name="book", once_per=payment_of)(shop.book)
    shop.deliver("msg_1")
    other = WhopWebhooks(store=shop.store)
    app = Flask("shop", instance_path=shop.app.instance_path)
    app.config.update(shop.app.config)
    if hasattr(shop.store, "_session"):
        pytest.skip("its store is that of one app")
    other.init_app(app)
    other.on(PaymentSucceeded, name="enter", was="book", once_per=payment_of)(shop.book)
    Sender(app).deliver(PAID, {"id": "pay_1"}, id="msg_2")
    assert shop.got == ["msg_1"]


@pytest.mark.parametrize("odd", [True, 1.5, "", b"pay", ["pay"]])
def test_what_cannot_be_a_key_is_a_failure(shop, odd, caplog):
    shop.whop.on(PaymentSucceeded, name="book", once_per=lambda event: odd)(shop.book)
    assert shop.deliver("msg_1") == "failed"
    assert shop.got == []
    assert "once_per= must give a text or a whole number" in caplog.text


def test_of_many_that_come_at_once_one_is_done(shop):
    effects, gate = [], threading.Barrier(2, timeout=5)

    @shop.whop.on(PaymentSucceeded, name="book", once_per=payment_of)
    def book(app, event):
        effects.append(event.id)

    def deliver(number):
        gate.wait()
        for _ in range(20):
            if shop.deliver(f"msg_{number}") != "running":
                return

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(deliver, range(2)))
    done = [number for number in range(2) if shop.receipt(f"msg_{number}").state is ReceiptState.DONE]
    assert effects == [f"msg_{number}" for number in done], "no other was begun, whatever would have been rolled back"
    states = {shop.receipt(f"msg_{number}").state for number in range(2)}
    assert states == {ReceiptState.DONE, ReceiptState.SKIPPED}


def test_who_waits_for_the_key_is_not_called_and_not_counted(tmp_path, caplog):
    app = Flask("shop", instance_path=str(tmp_path))
    app.config.update(WHOP_WEBHOOK_SECRET=SECRET, WHOP_DISPATCH="worker")
    got = []
    WhopWebhooks(app).on(PaymentSucceeded, name="book", once_per=payment_of)(lambda app, event: got.append(event.id))
    engine = Installation.of(app).engine
    store, times = engine.store, [engine.store.clock()]
    store.clock = lambda: times[0]
    other, mark = Key("shop", "msg_other"), Mark("book", "str:pay_1", ONCE, 0.0)
    Sender(app).deliver(PAID, {"id": "pay_1"}, id="msg_other")
    assert store.take(other, "token", 30.0)
    assert store.turn(other, "token", mark, 30.0) is Turn.GRANTED
    Sender(app).deliver(PAID, {"id": "pay_1"}, id="msg_1")
    for _ in range(4):
        with app.app_context():
            engine.run(Key("shop", "msg_1"), early=True)
        times[0] += 2
    assert got == []
    assert {receipt.attempts for receipt in store.receipts(Key("shop", "msg_1"))} <= {0}
    assert "didn't end with" not in caplog.text
    times[0] += 60  # the other one has died
    run_due(app)
    assert len(got) == 1


def test_a_worker_does_one_of_each_key(tmp_path):
    app = Flask("shop", instance_path=str(tmp_path))
    app.config.update(WHOP_WEBHOOK_SECRET=SECRET, WHOP_DISPATCH="worker")
    got = []
    WhopWebhooks(app).on(PaymentSucceeded, once_per=payment_of)(lambda app, event: got.append(event.id))
    for number in range(5):
        Sender(app).deliver(PAID, {"id": "pay_1"}, id=f"msg_{number}")
    run_due(app)
    assert len(got) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"once_per": "data.id"}, "once_per= takes a function"),
        ({"once_per": payment_of, "skip_stale": True}, "can't be combined"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path, options, message):
    app = Flask("shop", instance_path=str(tmp_path))
    app.config["WHOP_WEBHOOK_SECRET"] = SECRET
    with pytest.raises(SetupError, match=message):
        WhopWebhooks(app).on(PaymentSucceeded, **options)(lambda app, event: None)
