"""Of the events about one resource, the newest one's effect is the one that stays."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_whop import WhopWebhooks
from flask_whop.engine.installation import Installation
from flask_whop.engine.worker import Worker
from flask_whop.signals import receiver_called
from flask_whop.stores import Key, ReceiptState, State
from flask_whop.stores.sqlite import SqliteStore
from tests.shop import SECRET, Sender, new_app
from tests.stores import DURABLE, JOINED, STORES, new_prefix, opened


def at(second):
    return f"2026-11-02T10:00:{second:02}.000Z"


class Shop:
    """An app whose receiver keeps the last state of each membership, as it was told in order."""

    def __init__(self, app, store, dispatch="inline"):
        self.app = app
        app.config.update(WHOP_WEBHOOK_SECRET=SECRET, WHOP_DISPATCH=dispatch)
        self.whop = WhopWebhooks(self.app, store=store)
        self.store = store
        self.states = {}
        self.calls = []
        self.whop.on("membership.*", name="sync", skip_stale=True)(self.sync)

    def sync(self, app, event):
        self.calls.append(event.id)
        time.sleep(random.random() / 200)
        self.states[event.data.id] = event.data.status

    def deliver(self, delivery_id="msg_1", membership="mem_1", status="", event_type="membership.updated", **times):
        data = {"id": membership, "status": status, "updated_at": times.pop("updated_at", None)}
        return Sender(self.app).deliver(event_type, data, id=delivery_id, **times)

    def work(self):
        with self.app.app_context():
            Worker(self.app).run(once=True)

    def receipt(self, delivery_id, receiver="sync"):
        return {one.receiver: one for one in self.store.receipts(Key("shop", delivery_id))}.get(receiver)


class Joined(Shop):
    """Such an app whose states are in the database of the receipts."""

    def __init__(self, app, store, dispatch, db, model):
        self.db = db
        self.Membership = model
        super().__init__(app, store, dispatch)

    def sync(self, app, event):
        if self.db.engine.dialect.name == "sqlite":  # where one writer keeps all others waiting
            time.sleep(random.random() / 200)
        self.db.session.merge(self.Membership(id=event.data.id, status=event.data.status))
        self.db.session.flush()
        if self.db.engine.dialect.name != "sqlite":
            time.sleep(random.random() / 200)

    def read(self):
        with self.app.app_context():
            rows = self.db.session.execute(sa.select(self.Membership.id, self.Membership.status)).all()
            self.states = dict(map(tuple, rows))


@pytest.fixture(params=STORES)
def make(request, tmp_path):
    with ExitStack() as open_ones:

        def shop(dispatch="inline"):
            app = Flask("shop", instance_path=str(tmp_path))
            db, model = database()
            store = open_ones.enter_context(opened(request.param, app, db=db))
            if request.param in JOINED:
                return Joined(app, store, dispatch, db, model)
            return Shop(app, store, dispatch)

        yield shop


def database():
    db = SQLAlchemy()

    class Membership(db.Model):
        __tablename__ = f"{new_prefix()}memberships"
        id = sa.Column(sa.String(50), primary_key=True)
        status = sa.Column(sa.String(50))

    return db, Membership


def race(shop, resources, events=5):
    """Deliver each resource's events at random, several at once, each until it is taken."""
    parcels = [
        {
            "delivery_id": f"msg_{resource}_{number}",
            "membership": f"mem_{resource}",
            "status": f"state {number}",
            "event_type": random.choice(["membership.updated", "membership.activated", "membership.deactivated"]),
            # Whop may send what changed later first: the time of the change counts, not that of the sending.
            **(
                {"updated_at": at(number), "timestamp": at(random.randrange(60))}
                if resource % 2
                else {"timestamp": at(number)}
            ),
        }
        for resource in range(resources)
        for number in range(events)
    ]
    random.shuffle(parcels)
    parcels.sort(key=lambda parcel: int(parcel["membership"][4:]) // 4)  # so that those of one resource meet

    def deliver(parcel):
        until = time.monotonic() + 60
        while shop.deliver(**parcel).status_code != 200:
            assert time.monotonic() < until
            time.sleep(random.random() / 50)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(deliver, parcels))
    return {f"mem_{resource}": f"state {events - 1}" for resource in range(resources)}


def test_the_newest_event_of_200_resources_stays_whatever_comes_at_once(make):
    shop = make()
    expected = race(shop, 200)
    if isinstance(shop, Joined):
        shop.read()
    assert shop.states == expected


@pytest.mark.parametrize("make", DURABLE, indirect=True)
def test_the_newest_event_stays_where_two_workers_run_what_is_due(make):
    shop = make("worker")
    expected = race(shop, 40)
    stop = threading.Event()

    def work():
        while not stop.is_set():
            shop.work()
            stop.wait(0.2)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()

    def left():
        with shop.app.app_context():
            counts = shop.store.stats("shop").counts
        return counts[State.DUE] + counts[State.RUNNING]

    until = time.monotonic() + 90
    while left() and time.monotonic() < until:
        time.sleep(0.2)
    stop.set()
    for worker in workers:
        worker.join()
    if isinstance(shop, Joined):
        shop.read()
    assert shop.states == expected


# What waits.


def on_sqlite(tmp_path, dispatch="inline"):
    return Shop(Flask("shop", instance_path=str(tmp_path)), SqliteStore(tmp_path / "whop.sqlite3"), dispatch)


@pytest.fixture
def shop(tmp_path):
    return on_sqlite(tmp_path)


class Gate:
    """A receiver that waits in the middle until it is let go."""

    def __init__(self, shop):
        self.entered = threading.Event()
        self.opened = threading.Event()
        self.ran = []
        shop.whop.on("member.updated", name="slow", skip_stale=True)(self.receive)

    def receive(self, app, event):
        self.ran.append(event.id)
        self.entered.set()
        assert self.opened.wait(30)


def deliver_member(shop, delivery_id, second):
    return Sender(shop.app).deliver("member.updated", {"id": "mber_1"}, id=delivery_id, timestamp=at(second))


def test_a_sender_waits_two_seconds_for_a_turn_and_another_receiver_is_not_kept_waiting(shop):
    gate = Gate(shop)
    others = []
    shop.whop.on("member.updated", name="other")(lambda app, event: others.append(event.id))
    first = threading.Thread(target=deliver_member, args=(shop, "msg_1", 1))
    first.start()
    assert gate.entered.wait(10)
    answer = deliver_member(shop, "msg_2", 2)
    assert (answer.status_code, answer.json["status"]) == (409, "running")
    assert (gate.ran, others) == (["msg_1"], ["msg_2"])
    # Waiting is no attempt, and nobody has failed.
    assert shop.receipt("msg_2", "slow") is None
    gate.opened.set()
    first.join()
    assert deliver_member(shop, "msg_2", 2).status_code == 200
    assert (gate.ran, others) == (["msg_1", "msg_2"], ["msg_2", "msg_1"])


def test_a_turn_that_comes_soon_is_waited_for(shop):
    gate = Gate(shop)
    first = threading.Thread(target=deliver_member, args=(shop, "msg_1", 1))
    first.start()
    assert gate.entered.wait(10)
    threading.Timer(0.2, gate.opened.set).start()
    assert deliver_member(shop, "msg_2", 2).json["status"] == "processed"
    first.join()
    assert gate.ran == ["msg_1", "msg_2"]


def test_what_waits_for_a_turn_in_a_worker_is_due_again_shortly_and_spends_no_attempt(tmp_path):
    shop = on_sqlite(tmp_path, "worker")
    gate = Gate(shop)
    deliver_member(shop, "msg_1", 1)
    engine = Installation.of(shop.app).engine

    def work(name):
        with shop.app.app_context():
            return engine.run(Key("shop", name))

    first = threading.Thread(target=work, args=("msg_1",))
    first.start()
    assert gate.entered.wait(10)
    deliver_member(shop, "msg_2", 2)
    outcome = work("msg_2")
    assert outcome.status.value == "retry_later"
    assert shop.receipt("msg_2", "slow") is None
    assert shop.store.due("shop", 9) == []
    kept = shop.store.get(Key("shop", "msg_2"))
    assert (kept.state, 0 < kept.due_at - shop.store.clock() <= 2) == (State.DUE, True)
    gate.opened.set()
    first.join()
    now = time.time() + 5
    shop.store.clock = lambda: now
    shop.work()
    assert gate.ran == ["msg_1", "msg_2"]


def test_an_app_without_such_receivers_sets_no_mark(tmp_path):
    app = new_app(tmp_path)
    whop = WhopWebhooks(app)
    whop.on("membership.updated", name="plain")(lambda app, event: event.data)
    Sender(app).deliver("membership.updated", {"id": "mem_1"})
    assert Installation.of(app).store._select("SELECT * FROM whop_marks", {}) == []


def test_marks_go_with_the_delivery_that_set_them_last(make):
    shop = make()
    shop.deliver("msg_1", status="a", timestamp=at(1))
    shop.deliver("msg_2", status="b", timestamp=at(2))
    with shop.app.app_context():
        assert shop.store.prune("shop", time.time() + 60) == 2
    assert shop.deliver("msg_3", status="c", timestamp=at(0)).json["status"] == "processed"
    if isinstance(shop, Joined):
        shop.read()
    assert shop.states == {"mem_1": "c"}


# Whose question it is.


def test_stale_is_a_question_per_receiver(shop):
    failing = []

    @shop.whop.on("membership.updated", name="other", skip_stale=True)
    def other(app, event):
        failing.append(event.id)
        if event.id == "msg_new":
            raise ValueError("no")

    assert shop.deliver("msg_new", status="new", timestamp=at(2)).status_code == 500
    assert shop.deliver("msg_old", status="old", timestamp=at(1)).status_code == 200
    # The one that has handled the newer event is spared the older one; the one that failed with it is not.
    assert shop.calls == ["msg_new"]
    assert failing == ["msg_new", "msg_old"]
    assert shop.receipt("msg_old").state is ReceiptState.SKIPPED
    assert shop.receipt("msg_old", "other").state is ReceiptState.DONE


def test_what_was_skipped_is_not_done(shop):
    stale = []
    shop.whop.on("membership.updated", name="looks")(lambda app, event: stale.append((event.id, event.stale)))
    for delivery_id, second in (("msg_3", 3), ("msg_2", 2)):
        shop.deliver(delivery_id, timestamp=at(second))
    assert shop.receipt("msg_2").state is ReceiptState.SKIPPED
    assert stale == [("msg_3", False), ("msg_2", True)]


def test_a_receiver_that_has_just_come_is_not_stale_for_what_others_have_done(shop):
    shop.deliver("msg_2", timestamp=at(2))
    seen = []
    shop.whop.on("membership.updated", name="new")(lambda app, event: seen.append(event.stale))
    shop.deliver("msg_1", timestamp=at(1))
    assert seen == [False]


def test_an_event_that_comes_too_late_is_told_as_skipped(shop):
    told = []

    def note(app, event, receiver, outcome, seconds):
        told.append((event.id, receiver, outcome))

    receiver_called.connect(note, shop.app)
    shop.deliver("msg_2", timestamp=at(2))
    shop.deliver("msg_1", timestamp=at(1))
    assert told == [("msg_2", "sync", "done"), ("msg_1", "sync", "skipped")]


def test_an_event_whose_writes_come_too_late_is_told_as_skipped(tmp_path):
    app = Flask("shop", instance_path=str(tmp_path))
    db, model = database()
    told = []

    def note(app, event, receiver, outcome, seconds):
        told.append((event.id, outcome))

    class Overtaken(Joined):
        def sync(self, app, event):
            if event.id == "msg_1":
                with ThreadPoolExecutor(1) as pool:
                    pool.submit(self.deliver, "msg_2", status="newer", timestamp=at(2)).result()
            self.db.session.merge(self.Membership(id=event.data.id, status=event.data.status))

    with opened("SessionStore on SQLite", app, db=db) as store:
        shop = Overtaken(app, store, "inline", db, model)
        receiver_called.connect(note, app)
        assert shop.deliver("msg_1", status="older", timestamp=at(1)).status_code == 200
        shop.read()
    assert shop.states == {"mem_1": "newer"}
    assert told == [("msg_2", "done"), ("msg_1", "skipped")]


# By which time.


def test_the_time_of_the_change_goes_before_the_time_of_the_sending(shop):
    shop.deliver("msg_1", status="first", updated_at=at(30), timestamp=at(1))
    shop.deliver("msg_2", status="second", updated_at=at(20), timestamp=at(50))
    assert shop.states == {"mem_1": "first"}


def test_a_change_and_a_sending_are_never_compared(shop):
    shop.deliver("msg_1", status="with", updated_at=at(30), timestamp=at(30))
    shop.deliver("msg_2", status="without", timestamp=at(5))
    shop.deliver("msg_3", status="with again", updated_at=at(10))
    assert shop.states == {"mem_1": "without"}
    assert shop.calls == ["msg_1", "msg_2"]


def test_a_tie_is_not_stale(shop):
    shop.deliver("msg_1", status="first", timestamp=at(7))
    shop.deliver("msg_2", status="second", timestamp=at(7))
    assert shop.states == {"mem_1": "second"}


@pytest.mark.parametrize("odd", ["soon", 5, [], "9999-99-99", {"a": 1}, True])
def test_a_time_that_is_none_is_no_order(shop, odd):
    shop.deliver("msg_1", status="first", updated_at=odd, timestamp="also no time")
    shop.deliver("msg_2", status="second", updated_at=odd, timestamp="also no time")
    assert shop.states == {"mem_1": "second"}
