"""WHOP_DISPATCH="celery": tasks go to our own queue after the answer, one a delivery, and never to another app."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest
from celery import Celery, Task
from flask import Flask
from redis import Redis

from flask_whop import WhopWebhooks
from flask_whop.engine import celery as tasks
from flask_whop.engine.installation import Installation
from flask_whop.stores import Key, ReceiptState, State
from tests.crash.driver import wait_until
from tests.services import Silent, url_of
from tests.shop import SECRET, Sender


class Shop:
    """An app that hands its deliveries to Celery, whose tasks the test runs."""

    def __init__(self, folder, broker, name="shop", **config):
        self.app = app = Flask(name, instance_path=str(folder))
        app.config.update(WHOP_WEBHOOK_SECRET=SECRET, WHOP_DISPATCH="celery", **config)
        self.whop = WhopWebhooks(app)
        self.store = Installation.of(app).store
        self.ran = []
        self.broken = False
        self.whop.on("payment.succeeded", name="mail")(self.mail)

        class FlaskTask(Task):
            def __call__(self, *arguments, **named):
                with app.app_context():
                    return self.run(*arguments, **named)

        self.celery = Celery(name, task_cls=FlaskTask, broker=broker, set_as_current=False)
        self.celery.conf.task_default_queue = f"whop-test-{uuid4().hex}"
        app.extensions["celery"] = self.celery

    def mail(self, app, event):
        self.ran.append(event.id)
        if self.broken:
            raise ValueError("no mail today")

    def deliver(self, delivery_id="msg_1"):
        return Sender(self.app).deliver("payment.succeeded", id=delivery_id).json["status"]

    def run(self, name, *arguments):
        return self.celery.tasks[f"flask_whop.{name}"].apply(args=arguments).get()

    def state(self, delivery_id="msg_1"):
        return self.store.get(Key(self.app.name, delivery_id)).state

    def due(self):
        return [one.key.id for one in self.store.due(self.app.name, 99)]

    def advance(self, seconds):
        now = self.store.clock()
        self.store.clock = lambda: now + seconds


@pytest.fixture
def shop(tmp_path):
    """An app with a Redis, and its queue, which goes with the test."""
    url = url_of("Redis")
    shop = Shop(tmp_path, url)
    redis = Redis.from_url(url)
    queues = {shop.celery.conf.task_default_queue}

    def queue(name=None):
        queues.add(name or shop.celery.conf.task_default_queue)
        return [json.loads(one) for one in redis.lrange(name or shop.celery.conf.task_default_queue, 0, -1)]

    shop.queue = queue
    yield shop
    redis.delete(*queues)
    redis.close()
    shop.celery.close()


@pytest.fixture
def silent():
    url_of("Redis")
    broker = Silent()
    yield broker
    broker.close()


# Another app's.


def test_a_task_of_another_app_that_shares_the_queue_is_left_alone_and_its_delivery_due(tmp_path, caplog):
    theirs = Shop(tmp_path, "memory://", name="theirs")
    ours = Shop(tmp_path, "memory://", name="ours")
    assert theirs.deliver() == "accepted"
    ours.run("process", "theirs", "msg_1")
    assert (theirs.state(), theirs.ran, ours.ran) == (State.DUE, [], [])
    assert "Give each its own with WHOP_CELERY_QUEUE" in caplog.text
    theirs.run("process", "theirs", "msg_1")
    assert (theirs.state(), theirs.ran, ours.ran) == (State.DONE, ["msg_1"], [])


def test_tasks_go_to_the_queue_that_is_set(shop):
    named = f"whop-test-{uuid4().hex}"
    other = Shop(shop.app.instance_path, shop.celery.conf.broker_url, WHOP_CELERY_QUEUE=named)
    assert other.deliver() == "accepted"
    assert (len(shop.queue(named)), shop.queue()) == (1, [])


def test_a_task_is_passed_on_in_the_queue_that_the_apps_share_and_not_for_ever(shop):
    named = f"whop-test-{uuid4().hex}"
    ours = Shop(shop.app.instance_path, shop.celery.conf.broker_url, name="ours", WHOP_CELERY_QUEUE=named)
    ours.run("process", "theirs", "msg_1")
    [task] = shop.queue(named)
    assert task["headers"]["argsrepr"] == "('theirs', 'msg_1', 1)"
    ours.run("process", "theirs", "msg_1", 5)
    assert len(shop.queue(named)) == 1


# After the answer.


def test_a_task_is_sent_after_the_answer_and_carries_the_key_alone(shop):
    in_time = []
    shop.app.after_request(lambda response: in_time.append(shop.queue()) or response)
    assert shop.deliver() == "accepted"
    [task] = shop.queue()
    assert in_time == [[]]
    assert task["headers"]["argsrepr"] == "('shop', 'msg_1')"
    assert task["headers"]["expires"] is not None


@pytest.mark.parametrize("kind", ["refuses", "is silent"])
def test_a_broker_that_is_away_is_left_alone_for_a_while_and_the_deliveries_are_due(tmp_path, silent, kind, caplog):
    shop = Shop(tmp_path, silent.url if kind == "is silent" else "redis://127.0.0.1:1/0")
    names = [f"msg_{number}" for number in range(5)]
    assert {shop.deliver(name) for name in names} == {"accepted"}
    assert caplog.text.count("The broker didn't take delivery") == 1
    assert len(silent.taken) <= 1
    # They wait for no task: a worker, or the sweep, has them at once.
    assert sorted(shop.due()) == names


def test_a_broker_that_has_come_back_is_used_again(shop, silent, monkeypatch):
    monkeypatch.setattr(tasks, "_PAUSE_SECONDS", 0.0)
    shop.celery.conf.broker_url = silent.url
    assert shop.deliver("msg_1") == "accepted"
    assert (shop.queue(), shop.due()) == ([], ["msg_1"])
    silent.speaks.set()
    wait_until(lambda: len(shop.queue()) == 1, "the task that was held up", str)
    wait_until(lambda: shop.deliver(f"msg_{uuid4().hex}") and len(shop.queue()) > 1, "another task", str)


def test_without_a_celery_app_a_delivery_is_kept_and_due(tmp_path, caplog):
    shop = Shop(tmp_path, "memory://")
    del shop.app.extensions["celery"]
    assert shop.deliver() == "accepted"
    assert 'needs the Celery app in app.extensions["celery"]' in caplog.text
    assert shop.due() == ["msg_1"]


# Eager.


def test_tasks_that_are_always_eager_run_after_the_answer(tmp_path):
    shop = Shop(tmp_path, "memory://")
    shop.celery.conf.task_always_eager = True
    assert shop.deliver() == "accepted"
    assert (shop.ran, shop.state()) == (["msg_1"], State.DONE)


def test_what_fails_eagerly_waits_for_its_time(tmp_path):
    shop = Shop(tmp_path, "memory://")
    shop.celery.conf.task_always_eager = True
    shop.broken = True
    shop.deliver()
    assert (shop.ran, shop.state()) == (["msg_1"], State.DUE)
    shop.broken = False
    shop.advance(60)
    shop.run("sweep")
    assert (shop.ran, shop.state()) == (["msg_1", "msg_1"], State.DONE)


# One task a delivery.


def test_neither_the_sweep_nor_retries_pile_tasks_up(shop):
    names = [f"msg_{number}" for number in range(10)]
    for name in names:
        shop.deliver(name)
    for _ in range(5):
        shop.advance(10)
        assert shop.run("sweep") == 0
    assert len(shop.queue()) == 10
    # Those that fail are tried again by one task each, however often the sweep comes.
    shop.broken = True
    for name in names:
        shop.run("process", "shop", name)
    for _ in range(5):
        shop.advance(10)
        assert shop.run("sweep") == 0
    assert len(shop.queue()) == 20
    assert shop.store.receipts(Key("shop", "msg_1"))[0].state is ReceiptState.FAILED


def test_what_was_lost_on_the_way_is_sent_once_more_when_its_task_would_have_expired(shop):
    shop.deliver()
    shop.advance(tasks.TASK_SECONDS + 1)
    assert (shop.run("sweep"), shop.run("sweep")) == (1, 0)
    assert len(shop.queue()) == 2
    shop.run("process", "shop", "msg_1")
    shop.run("process", "shop", "msg_1")
    assert shop.ran == ["msg_1"]


def test_a_sweep_stops_where_the_broker_is_away_and_leaves_all_of_it_due(tmp_path):
    shop = Shop(tmp_path, "redis://127.0.0.1:1/0")
    for number in range(3):
        shop.deliver(f"msg_{number}")
    assert shop.run("sweep") == 0
    assert len(shop.due()) == 3
