"""When receivers run, and what happens to what fails where the retry is ours."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from contextlib import closing

import pytest
from flask import Flask

from flask_whop import ConfigError, GiveUp, RetryLater, WhopWebhooks, signals
from flask_whop.engine.installation import Installation
from flask_whop.engine.worker import Worker, run_due
from flask_whop.stores import Key, MemoryStore, State
from flask_whop.stores.sqlite import SqliteStore
from tests.shop import SECRET, Sender, new_app
from tests.stores.rows import arrival

OURS = ["after_response", "worker"]


class Kill(Exception):
    """Stands for a receiver that kills its process."""


class Shop:
    """An app with a store in a file, and one receiver that does as it is told."""

    def __init__(self, tmp_path, dispatch="worker", **config):
        self.app = new_app(tmp_path, WHOP_DISPATCH=dispatch, **config)
        self.whop = WhopWebhooks(self.app)
        self.engine = Installation.of(self.app).engine
        self.store = self.engine.store
        self.ran = []
        self.errors = []
        self.whop.on("payment.*", name="mail")(self.receive)

    def receive(self, app, event):
        self.ran.append(event.id)
        if self.errors:
            error = self.errors.pop(0)
            if isinstance(error, Kill):
                os.kill(os.getpid(), signal.SIGKILL)
            raise error

    def deliver(self, delivery_id="msg_1", event_type="payment.succeeded", **envelope):
        return Sender(self.app).deliver(event_type, id=delivery_id, **envelope).json["status"]

    def work(self):
        Worker(self.app).run(once=True)

    def advance(self, seconds):
        """Let time pass for the store: what is due in a while is due now."""
        now = self.store.clock()
        self.store.clock = lambda: now + seconds

    def state(self, delivery_id="msg_1"):
        return self.store.get(Key("shop", delivery_id)).state

    def receipt(self, delivery_id="msg_1", receiver="mail"):
        return {one.receiver: one for one in self.store.receipts(Key("shop", delivery_id))}[receiver]


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path)


# The modes.


def test_inline_receivers_run_before_the_answer(tmp_path):
    shop = Shop(tmp_path, "inline")
    assert shop.deliver() == "processed"
    assert shop.ran == ["msg_1"]


def test_after_response_receivers_run_when_the_answer_is_out(tmp_path):
    shop = Shop(tmp_path, "after_response")
    from flask_whop.testing import sample, signed

    with shop.app.test_client() as client:
        request = signed(sample("payment.succeeded"), SECRET, delivery_id="msg_1")
        answer = client.post("/webhooks/whop", buffered=False, **request)
        assert (answer.json["status"], shop.ran) == ("accepted", [])
        answer.close()
    assert shop.ran == [sample("payment.succeeded")["id"]]
    assert shop.state() is State.DONE


def test_worker_receivers_run_in_the_worker(shop):
    assert shop.deliver() == "accepted"
    assert shop.ran == []
    shop.work()
    assert shop.ran == ["msg_1"]
    assert shop.state() is State.DONE


@pytest.mark.parametrize("dispatch", OURS)
def test_a_duplicate_of_what_is_ours_is_answered_200_and_runs_nothing(tmp_path, dispatch):
    shop = Shop(tmp_path, dispatch)
    assert shop.deliver() == "accepted"
    assert shop.deliver() == "duplicate"
    shop.work()
    assert shop.deliver() == "duplicate"
    shop.work()
    assert shop.ran == ["msg_1"]


def test_a_replay_of_whops_runs_a_receiver_that_has_come_since(shop):
    shop.deliver()
    shop.work()
    later = []
    shop.whop.on("payment.succeeded", name="books")(lambda app, event: later.append(event.id))
    assert shop.deliver() == "accepted"
    shop.work()
    assert (shop.ran, later) == (["msg_1"], ["msg_1"])


def test_a_delivery_that_nobody_handles_is_done_in_the_worker(shop):
    unhandled = []
    signals.event_unhandled.connect(lambda app, event: unhandled.append(event.type))
    assert shop.deliver(event_type="refund.created") == "accepted"
    shop.work()
    assert shop.state() is State.DONE
    assert unhandled == ["refund.created"]


def test_what_is_accepted_is_told(shop):
    told = []
    signals.delivery_accepted.connect(lambda app, delivery, event: told.append((delivery.id, event.type)))
    shop.deliver()
    shop.deliver()
    assert told == [("msg_1", "payment.succeeded")]


def test_memory_is_no_place_for_what_has_been_answered(tmp_path):
    with pytest.raises(ConfigError, match="WHOP_STORE must outlast the process"):
        Shop(tmp_path, WHOP_STORE="memory://")


def test_an_unknown_mode_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(ConfigError, match="one of inline, after_response, worker, celery"):
        Shop(tmp_path, "async")


# Retries of ours.


def test_what_fails_is_tried_again_after_a_wait_that_grows(shop):
    shop.errors = [ValueError("first"), ValueError("second")]
    shop.deliver()
    shop.work()
    first = shop.receipt()
    assert (first.attempts, shop.state()) == (1, State.DUE)
    assert 7 < first.due_at - first.last_at < 13
    shop.work()
    assert shop.ran == ["msg_1"]

    shop.advance(13)
    shop.work()
    second = shop.receipt()
    assert second.attempts == 2
    assert 15 < second.due_at - second.last_at < 25
    assert "ValueError: second" in second.error

    shop.advance(25)
    shop.work()
    assert (shop.ran, shop.state()) == (["msg_1"] * 3, State.DONE)
    assert (shop.receipt().attempts, shop.receipt().error) == (3, None)


def test_a_retry_runs_only_the_receivers_that_are_not_done(shop):
    others = []
    shop.whop.on("payment.succeeded", name="books")(lambda app, event: others.append(event.id))
    shop.errors = [ValueError("no")]
    shop.deliver()
    shop.work()
    shop.advance(60)
    shop.work()
    assert (shop.ran, others) == (["msg_1"] * 2, ["msg_1"])


def test_a_receiver_with_a_name_of_any_length_is_known_again(shop):
    ran = []
    shop.whop.on("payment.succeeded", name="fulfil" * 100)(lambda app, event: ran.append(event.id))
    shop.errors = [ValueError("no")]
    shop.deliver()
    shop.work()
    shop.advance(60)
    shop.work()
    assert (shop.ran, ran) == (["msg_1"] * 2, ["msg_1"])


def test_each_receiver_has_a_wait_of_its_own(shop):
    patient = []

    @shop.whop.on("payment.succeeded", name="patient")
    def later(app, event):
        patient.append(event.id)
        if len(patient) == 1:
            raise RetryLater("the warehouse is closed", after=3000)

    shop.errors = [ValueError("no")]
    shop.deliver()
    shop.work()
    shop.advance(60)
    shop.work()
    assert (shop.ran, patient, shop.state()) == (["msg_1"] * 2, ["msg_1"], State.DUE)
    shop.advance(3000)
    shop.work()
    assert (shop.ran, patient, shop.state()) == (["msg_1"] * 2, ["msg_1"] * 2, State.DONE)


def test_retry_later_waits_as_long_as_it_says(shop):
    shop.errors = [RetryLater("the bank is closed", after=500)]
    shop.deliver()
    shop.work()
    assert shop.receipt().due_at - shop.receipt().last_at == pytest.approx(500, abs=1)


def test_what_is_given_up_is_done(shop):
    shop.errors = [GiveUp("no such buyer")]
    shop.deliver()
    shop.work()
    assert (shop.state(), shop.receipt().state.value) == (State.DONE, "given_up")
    assert "no such buyer" in shop.receipt().error


def test_what_has_failed_for_a_day_is_a_dead_letter_and_is_told(shop):
    told = []
    signals.delivery_dead_lettered.connect(lambda app, delivery, event: told.append((delivery.id, event.type)))
    shop.errors = [ValueError("no")] * 99
    shop.deliver()
    for _ in range(60):
        shop.work()
        if shop.state() is State.DEAD:
            break
        shop.advance(3700)
    assert shop.state() is State.DEAD
    assert told == [("msg_1", "payment.succeeded")]
    assert 15 <= shop.receipt().attempts <= 35
    ran = len(shop.ran)
    shop.advance(90_000)
    shop.work()
    assert len(shop.ran) == ran


def test_a_dead_letter_that_whop_sends_again_is_tried_again(tmp_path):
    shop = Shop(tmp_path, WHOP_RETRY_FOR=1)
    shop.errors = [ValueError("no")] * 9
    shop.deliver()
    shop.work()
    shop.advance(2)
    shop.work()
    assert shop.state() is State.DEAD
    shop.errors = []
    assert shop.deliver() == "accepted"
    shop.work()
    assert shop.state() is State.DONE


@pytest.mark.parametrize("opened", ["accepted", "left by a dead process", "replayed"])
def test_the_first_failure_after_workers_were_away_for_long_is_no_dead_letter(tmp_path, opened):
    shop = Shop(tmp_path, WHOP_RETRY_FOR=2000, WHOP_RETRY_LONGEST=300)
    shop.errors = [ValueError("no")] * 99
    if opened == "left by a dead process":
        shop.store.claim(arrival(body=b'{"type": "payment.succeeded", "data": {"id": "pay_1"}}'), "died", 1.0)
    else:
        shop.deliver()
    if opened == "replayed":
        while shop.state() is not State.DEAD:
            shop.work()
            shop.advance(361)
        assert shop.store.replay(Key("shop", "msg_1"))
    shop.advance(90_000)
    for _ in range(3):
        ran = len(shop.ran)
        shop.work()
        assert len(shop.ran) == ran + 1
        assert shop.state() is State.DUE
        shop.advance(361)
    for _ in range(9):
        shop.work()
        shop.advance(361)
    assert shop.state() is State.DEAD


def test_waits_are_settings(tmp_path):
    shop = Shop(tmp_path, WHOP_RETRY_FIRST=100, WHOP_RETRY_LONGEST=150, WHOP_RETRY_FOR=1000)
    shop.errors = [ValueError("no")] * 9
    shop.deliver()
    waits = []
    while shop.state() is not State.DEAD:
        shop.work()
        receipt = shop.receipt()
        waits += [receipt.due_at - receipt.last_at] if receipt.due_at else []
        shop.advance(181)
    assert 80 <= waits[0] <= 121
    assert all(119 <= wait <= 181 for wait in waits[1:-1])
    assert waits[-1] <= 181  # the last try is at the deadline
    assert len(waits) in range(5, 9)


@pytest.mark.parametrize("value", [0, -1, "10", True, float("inf"), float("nan")])
@pytest.mark.parametrize(
    "key", ["WHOP_RETRY_FIRST", "WHOP_RETRY_LONGEST", "WHOP_RETRY_FOR", "WHOP_LONGEST_CALL", "WHOP_KEEP_DAYS"]
)
def test_a_wait_that_is_none_is_refused(tmp_path, key, value):
    with pytest.raises(ConfigError, match=key):
        Shop(tmp_path, **{key: value})


# What a process leaves that dies or is told to stop.


@pytest.mark.parametrize("dispatch", ["inline", *OURS])
def test_a_worker_takes_up_what_a_killed_process_left(tmp_path, dispatch):
    shop = Shop(tmp_path, dispatch)
    shop.errors = [Kill()]
    if dispatch == "worker":
        shop.deliver()
    child = os.fork()
    if child == 0:
        try:
            shop.work() if dispatch == "worker" else shop.deliver()
        finally:
            os._exit(1)  # not reached by what is killed
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    shop.errors = []
    assert shop.state() is State.RUNNING
    shop.work()
    assert shop.ran == []
    shop.advance(31)
    shop.work()
    assert (shop.ran, shop.state()) == (["msg_1"], State.DONE)


def test_a_lease_is_renewed_for_as_long_as_the_receiver_runs(tmp_path):
    shop = Shop(tmp_path, "worker")
    shop.engine.leases.lease = 0.3
    seen = []

    @shop.whop.on("refund.created", name="slow")
    def slow(app, event):
        until = time.monotonic() + 1.2
        while time.monotonic() < until:
            seen.extend(shop.store.due("shop", 9))
            time.sleep(0.05)

    shop.deliver(event_type="refund.created")
    shop.work()
    assert seen == []
    assert shop.state() is State.DONE


def test_two_workers_at_once_run_each_delivery_once(shop):
    for number in range(40):
        shop.deliver(f"msg_{number}")
    workers = [threading.Thread(target=shop.work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(shop.ran) == sorted(f"msg_{number}" for number in range(40))


def test_a_receiver_that_fails_after_the_answer_is_tried_again_by_a_later_delivery(tmp_path):
    shop = Shop(tmp_path, "after_response")
    shop.errors = [ValueError("no")]
    shop.deliver("msg_1")
    shop.advance(60)
    Installation.of(shop.app)
    shop.deliver("msg_2")
    shop.deliver("msg_3")
    # It is looked for every few seconds; a worker looks at once.
    shop.work()
    assert sorted(shop.ran) == ["msg_1", "msg_1", "msg_2", "msg_3"]


def test_a_mode_that_is_changed_takes_over_what_whop_was_to_retry(tmp_path):
    before = Shop(tmp_path, "inline")
    before.errors = [ValueError("no")]
    assert before.deliver() == "failed"
    after = Shop(tmp_path, "worker")
    assert after.deliver() == "accepted"
    after.work()
    assert after.ran == ["msg_1"]


# Order.


def at(second):
    return f"2026-11-02T10:00:{second:02}.000Z"


def test_an_event_is_stale_where_a_newer_one_of_its_resource_has_been_processed(shop):
    stale = {}
    shop.whop.on("membership.*")(lambda app, event: stale.update({event.id: event.stale}))
    for delivery_id, second in (("msg_b", 2), ("msg_a", 1), ("msg_c", 3)):
        shop.deliver(delivery_id, "membership.updated", timestamp=at(second), data={"id": "mem_1"})
        shop.work()
    shop.deliver("msg_d", "membership.updated", timestamp=at(0), data={"id": "mem_2"})
    shop.work()
    assert stale == {"msg_b": False, "msg_a": True, "msg_c": False, "msg_d": False}


@pytest.mark.parametrize("dispatch", ["inline", "worker"])
def test_a_receiver_that_skips_stale_events_is_spared_them_for_good(tmp_path, dispatch):
    shop = Shop(tmp_path, dispatch)
    ran = []
    shop.whop.on("membership.updated", name="sync", skip_stale=True)(lambda app, event: ran.append(event.id))
    for delivery_id, second in (("msg_b", 2), ("msg_a", 1), ("msg_a", 1)):
        shop.deliver(delivery_id, "membership.updated", timestamp=at(second), data={"id": "mem_1"})
        shop.work()
    assert ran == ["msg_b"]
    assert shop.receipt("msg_a", "sync").state.value == "skipped"


def test_an_event_without_a_time_or_a_resource_is_never_stale(shop):
    stale = []
    shop.whop.on("membership.*")(lambda app, event: stale.append(event.stale))
    shop.deliver("msg_1", "membership.updated", timestamp=at(9), data={"id": "mem_1"})
    shop.deliver("msg_2", "membership.updated", timestamp="soon", data={"id": "mem_1"})
    shop.deliver("msg_3", "membership.updated", timestamp=at(1), data={"no": "id"})
    shop.work()
    assert stale == [False, False, False]


def test_an_idempotency_key_is_the_same_for_each_try_of_one_receiver(shop):
    keys = []

    @shop.whop.on("refund.created")
    def pay_back(app, event):
        keys.append(event.idempotency_key(pay_back))
        keys.append(event.idempotency_key("other"))
        if len(keys) == 2:
            raise ValueError("no")

    shop.deliver(event_type="refund.created")
    shop.work()
    shop.advance(60)
    shop.work()
    assert keys[:2] == keys[2:]
    assert keys[0] != keys[1]
    assert all(len(key) == 32 for key in keys)


# Keeping.


def test_bodies_are_dropped_when_done_if_they_are_not_to_be_kept(tmp_path):
    shop = Shop(tmp_path, WHOP_KEEP_PAYLOADS=False)
    shop.errors = [ValueError("no")]
    shop.deliver()
    shop.work()
    assert shop.store.get(Key("shop", "msg_1")).body
    shop.advance(60)
    shop.work()
    assert shop.store.get(Key("shop", "msg_1")).body is None
    assert shop.deliver() == "duplicate"


@pytest.mark.parametrize("days", [3, 3.9])
def test_deliveries_are_kept_for_longer_than_whop_retries(tmp_path, days):
    with pytest.raises(ConfigError, match="4 or more"):
        Shop(tmp_path, WHOP_KEEP_DAYS=days)


def test_a_worker_forgets_what_is_older_than_it_is_kept(shop):
    shop.deliver()
    shop.work()
    with closing(sqlite3.connect(shop.store.path)) as connection, connection:
        connection.execute("UPDATE whop_deliveries SET received_at = 1, changed_at = 1")
    shop.work()
    assert shop.store.get(Key("shop", "msg_1")) is None


def test_stats_tell_a_health_check_what_waits(shop):
    shop.deliver("msg_1")
    shop.work()
    shop.deliver("msg_2")
    shop.advance(50)
    with shop.app.app_context():
        counts, done_lately, oldest = shop.whop.stats()
    assert (done_lately, counts[State.DUE]) == (1, 1)
    assert oldest == pytest.approx(50, abs=2)


# Where it is kept.


def test_the_default_is_a_file_in_the_instance_folder(tmp_path):
    shop = Shop(tmp_path / "instance", "inline")
    shop.deliver()
    assert (tmp_path / "instance/whop.sqlite3").exists()
    again = Shop(tmp_path / "instance", "inline")
    assert again.deliver() == "duplicate"


def test_under_test_the_default_is_memory(tmp_path):
    app = new_app(tmp_path, TESTING=True)
    WhopWebhooks(app)
    assert isinstance(Installation.of(app).engine.store, MemoryStore)
    assert list(tmp_path.iterdir()) == []


def test_an_app_that_is_put_under_test_later_is_kept_off_its_file(tmp_path):
    for _ in range(2):
        shop = Shop(tmp_path, "inline")
        shop.app.testing = True
        assert shop.deliver() == "processed"


@pytest.mark.parametrize(
    "looks",
    [
        lambda shop: shop.whop.stats().counts[State.DUE],
        lambda shop: len(run_due(shop.app)),
        lambda shop: Installation.of(shop.app).store.stats("shop").counts[State.DUE],
        lambda shop: sum(
            1 for _ in shop.app.test_cli_runner().invoke(args=["whop", "deliveries"]).stdout.splitlines()[1:]
        ),
    ],
    ids=["stats", "a worker", "the store", "a command"],
)
def test_no_way_to_the_store_leads_an_app_under_test_to_its_file(tmp_path, looks):
    Shop(tmp_path, "worker").deliver()
    shop = Shop(tmp_path, "worker")
    with shop.app.app_context():
        shop.app.testing = True
        assert looks(shop) == 0
        shop.app.testing = False


def test_a_place_that_is_asked_for_is_kept_under_test_too(tmp_path):
    shop = Shop(tmp_path, "inline", TESTING=True, WHOP_STORE="sqlite:///kept.sqlite3")
    shop.deliver()
    assert isinstance(Installation.of(shop.app).engine.store, SqliteStore)


def test_two_apps_share_a_file_without_sharing_deliveries(tmp_path):
    ran = []
    for name in ("shop", "desk"):
        app = Flask(f"company.{name}", instance_path=str(tmp_path))
        app.config["WHOP_WEBHOOK_SECRET"] = SECRET
        WhopWebhooks(app).on("payment.succeeded", name="mail")(lambda app, event: ran.append(app.name))
        Sender(app).deliver("payment.succeeded", id="msg_1")
    assert ran == ["company.shop", "company.desk"]


@pytest.mark.parametrize("endpoint", ["", "a b", "x" * 65, 7])
def test_an_unusable_endpoint_is_refused(tmp_path, endpoint):
    with pytest.raises(ConfigError, match="WHOP_ENDPOINT"):
        Shop(tmp_path, WHOP_ENDPOINT=endpoint)


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "memory://"),
        ("nothing://x", "isn't the URL of a known database"),
        ("whop.sqlite3", "isn't the URL of a known database"),
        ("", "must be text"),
        ("postgresql://nobody@127.0.0.1:1/none", "the database can't be used"),
    ],
)
def test_a_store_that_cannot_be_used_stops_the_app_and_names_the_setting(tmp_path, url, word):
    with pytest.raises(ConfigError, match=word) as error:
        Shop(tmp_path, WHOP_STORE=url)
    assert "WHOP_STORE" in str(error.value)
