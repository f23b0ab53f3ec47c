"""A receiver's conditions: ``when=`` and ``accounts=`` say which events it gets."""

from __future__ import annotations

import gc
from contextlib import suppress

import pytest
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session

from flask_whop import GiveUp, WhopWebhooks
from flask_whop.engine.installation import Installation
from flask_whop.engine.recording import Record
from flask_whop.engine.run import Run
from flask_whop.engine.worker import run_due
from flask_whop.errors import SetupError
from flask_whop.events import PaymentSucceeded
from flask_whop.signals import payment_succeeded, receiver_called, receiver_failed
from flask_whop.stores import Key, ReceiptState, State
from flask_whop.stores.sqlalchemy import SessionStore
from tests.shop import Sender, new_app

PAID = "payment.succeeded"


class Shop:
    def __init__(self, folder, **config):
        self.app = new_app(folder, WHOP_STORE="sqlite:///whop.sqlite3", **config)
        self.whop = WhopWebhooks(self.app)
        self.got = []

    def take(self, app, event):
        self.got.append(event.id)

    def deliver(self, delivery_id="msg_1", **envelope):
        data = envelope.pop("data", {"id": "pay_1", "plan_id": "plan_gold"})
        return Sender(self.app).deliver(PAID, data, id=delivery_id, **envelope)

    def receipts(self, delivery_id="msg_1"):
        installation = Installation.of(self.app)
        found = installation.store.receipts(Key(installation.engine.endpoint, delivery_id))
        return {one.receiver: (one.state, one.attempts, one.error) for one in found}

    def state(self, delivery_id="msg_1"):
        installation = Installation.of(self.app)
        return installation.store.get(Key(installation.engine.endpoint, delivery_id)).state


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path)


def is_gold(event):
    return event.data.plan_id == "plan_gold"


def test_a_receiver_gets_the_events_that_meet_its_condition_and_skips_the_others(shop):
    shop.whop.on(PaymentSucceeded, name="fulfil", when=is_gold)(shop.take)
    assert shop.deliver("msg_gold").json == {"status": "processed"}
    assert shop.deliver("msg_tin", data={"id": "pay_2", "plan_id": "plan_tin"}).json == {"status": "processed"}
    assert shop.got == ["msg_gold"]
    skipped = (ReceiptState.SKIPPED, 0, "Not called: its condition (when=) isn't met.")
    assert shop.receipts("msg_tin") == {"fulfil": skipped}


def test_a_skipped_event_is_finished_for_good(shop):
    met = []
    shop.whop.on(PaymentSucceeded, when=lambda event: bool(met))(shop.take)
    shop.deliver()
    met.append(True)
    assert shop.deliver().json == {"status": "duplicate"}
    assert shop.got == []


@pytest.mark.parametrize("accounts", ["biz_1", ["biz_2", "biz_1"]])
def test_a_receiver_gets_the_events_of_its_accounts(shop, accounts):
    shop.whop.on(PaymentSucceeded, name="fulfil", accounts=accounts)(shop.take)
    shop.deliver("msg_1", company_id="biz_1")
    shop.deliver("msg_2", company_id="biz_9")
    shop.deliver("msg_3", company_id=None)
    assert shop.got == ["msg_1"]
    assert "accounts= doesn't list" in shop.receipts("msg_2")["fulfil"][2]


def test_the_condition_of_a_foreign_account_is_not_asked(shop):
    asked = []
    shop.whop.on(PaymentSucceeded, accounts="biz_9", when=asked.append)(shop.take)
    shop.deliver()
    assert (asked, shop.got) == ([], [])


def test_an_error_in_a_condition_is_a_failure_of_its_receiver_alone(shop, caplog):
    broken = [KeyError("plan")]
    failures = []

    def condition(event):
        if broken:
            raise broken.pop()
        return True

    @receiver_failed.connect_via(shop.app)
    def note(app, event, receiver, error):
        failures.append((receiver, type(error)))

    shop.whop.on(PaymentSucceeded, name="picky", when=condition)(lambda app, event: shop.got.append("picky"))
    shop.whop.on(PaymentSucceeded, name="other")(lambda app, event: shop.got.append("other"))
    assert shop.deliver().status_code == 500
    assert shop.got == ["other"]
    assert failures == [("picky", KeyError)]
    assert "picky failed with payment.succeeded msg_1" in caplog.text
    assert shop.deliver().status_code == 200
    assert shop.got == ["other", "picky"]


def test_a_condition_may_give_up(shop):
    def condition(event):
        raise GiveUp("no plan at all")

    shop.whop.on(PaymentSucceeded, name="fulfil", when=condition)(shop.take)
    assert shop.deliver().status_code == 200
    assert shop.receipts()["fulfil"][0] is ReceiptState.GIVEN_UP


def test_conditions_hold_where_a_worker_runs(tmp_path):
    shop = Shop(tmp_path, WHOP_DISPATCH="worker")
    shop.whop.on(PaymentSucceeded, name="fulfil", when=lambda event: False)(shop.take)
    shop.deliver()
    run_due(shop.app)
    assert (shop.got, shop.state()) == ([], State.DONE)


def test_a_condition_comes_before_the_order_of_events(shop):
    """An event that isn't wanted isn't one that was handled, so an older one is no stale one."""
    shop.whop.on(PaymentSucceeded, skip_stale=True, when=lambda event: event.id != "msg_newer")(shop.take)
    shop.deliver("msg_newer", timestamp="2026-11-02T11:00:00Z")
    shop.deliver("msg_older", timestamp="2026-11-02T10:00:00Z")
    assert shop.got == ["msg_older"]


def test_conditions_belong_to_signals_too(shop):
    payment_succeeded.connect_via(shop.app, name="gold", when=is_gold)(shop.take)
    payment_succeeded.connect(lambda app, event: shop.got.append("any"), shop.app, name="mine", accounts="biz_1")
    shop.deliver()
    assert shop.got == ["msg_1", "any"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"when": True}, "when= takes a function of the event"),
        ({"accounts": 7}, "accounts= takes one or more account ids"),
        ({"accounts": [""]}, "accounts= takes one or more account ids"),
    ],
)
def test_what_cannot_be_a_condition_is_refused(shop, options, message):
    with pytest.raises(SetupError, match=message):
        shop.whop.on(PaymentSucceeded, **options)(shop.take)


def test_a_coroutine_is_no_condition(shop):
    async def condition(event):
        return False

    with pytest.raises(SetupError, match="a coroutine would always count as true"):
        shop.whop.on(PaymentSucceeded, when=condition)(shop.take)


def test_a_hidden_coroutine_is_a_failure_and_no_yes(shop, caplog):
    async def never(event):
        return False

    shop.whop.on(PaymentSucceeded, name="gold", when=lambda event: never(event) if event.id else False)(shop.take)
    assert shop.deliver().status_code == 500
    assert shop.got == []
    assert "which would always be true" in caplog.text


def test_a_condition_that_ends_its_process_is_counted_and_starves_nobody(tmp_path, monkeypatch):
    shop = Shop(tmp_path, WHOP_DISPATCH="worker", WHOP_RETRY_FIRST=1, WHOP_RETRY_FOR=60)
    engine = Installation.of(shop.app).engine
    times = [engine.store.clock()]
    engine.store.clock = lambda: times[0]

    class Killed(BaseException):
        """Stands in for a process that is gone before it can write anything."""

    def dies(event):
        raise Killed

    def write_nothing(*_args, **_how):
        raise Killed

    shop.whop.on(PaymentSucceeded, name="picky", when=dies)(lambda app, event: None)
    shop.whop.on(PaymentSucceeded, name="books")(shop.take)
    shop.deliver()
    monkeypatch.setattr(Record, "break_off", lambda self, wait: None)
    monkeypatch.setattr(Run, "_fail", write_nothing)
    for _ in range(12):
        with shop.app.app_context(), suppress(Killed):
            engine.run(Key(engine.endpoint, "msg_1"))
        times[0] += 40
    assert shop.got == ["msg_1"], "books has been called"
    assert shop.receipts()["picky"][0] is ReceiptState.DEAD
    assert shop.state() is State.DEAD


def test_a_receiver_is_not_called_once_its_condition_has_taken_too_long(shop):
    leases = Installation.of(shop.app).engine.leases

    def loses_the_claim(event):
        leases._held.clear()
        return True

    shop.whop.on(PaymentSucceeded, when=loses_the_claim)(shop.take)
    shop.deliver()
    assert shop.got == []


def test_what_a_condition_decides_or_raises_is_told_to_who_counts_calls(shop):
    told = []

    def note(app, event, receiver, outcome, seconds):
        told.append((receiver, outcome))

    receiver_called.connect(note, shop.app)
    shop.whop.on(PaymentSucceeded, name="never", when=lambda event: False)(shop.take)
    shop.whop.on(PaymentSucceeded, name="broken", when=lambda event: event.nothing_of_the_kind)(lambda app, event: None)
    shop.deliver()
    assert told == [("never", "skipped"), ("broken", "failed")]


def test_conditions_leave_nothing_behind_in_a_session(tmp_path):
    app = new_app(tmp_path)
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path}/shop.sqlite3"
    db = SQLAlchemy(app)
    got = []
    whop = WhopWebhooks(app, store=SessionStore(db, create=True))
    whop.on(PaymentSucceeded, when=lambda event: True)(lambda app, event: got.append(1))
    sessions = []
    for number in range(30):
        Sender(app).deliver(PAID, id=f"msg_{number}")
        gc.collect()
        sessions.append(sum(isinstance(one, Session) for one in gc.get_objects()))
    assert len(got) == 30
    assert sessions[-1] <= sessions[3]
    with app.app_context():
        db.engine.dispose()
