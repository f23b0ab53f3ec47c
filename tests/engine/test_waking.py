"""A worker that sleeps is woken by what is accepted, and stops soon; its polls come too late to be what did it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from flask_whop import WhopWebhooks
from flask_whop.engine import worker
from flask_whop.engine.installation import Installation
from flask_whop.engine.worker import Worker
from flask_whop.stores import Key, State
from flask_whop.stores.sqlalchemy import SQLAlchemyStore
from flask_whop.stores.waking import ListeningWaker
from tests.crash.driver import wait_until
from tests.services import url_of
from tests.shop import Sender, new_app
from tests.stores import new_prefix, opened

HEARD = ("SQLite", "PostgreSQL", "SessionStore on PostgreSQL")


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Make an app on a store, and a worker of it that never looks by itself."""
    monkeypatch.setattr(worker, "_POLL_SECONDS", 3600.0)
    contexts = []

    def make(name, **options):
        app = new_app(tmp_path, WHOP_DISPATCH="worker")
        context = opened(name, app)
        store = context.__enter__()
        contexts.append(context)
        whop = WhopWebhooks(app, store=store)
        ran = []
        whop.on("payment.succeeded", name="mail")(lambda app, event: ran.append(event.id))
        working = Worker(app, **options)

        def work():
            with app.app_context():
                working.run()

        thread = threading.Thread(target=work)
        thread.start()
        started.append((working, thread))
        return app, store, ran, working, thread

    started = []
    yield make
    for working, thread in started:
        working.stop()
        thread.join(10)
        assert not thread.is_alive(), "a worker that sleeps has not stopped"
    for context in contexts:
        context.__exit__(None, None, None)


def deliver(app, name):
    assert Sender(app).deliver("payment.succeeded", id=name).json["status"] == "accepted"


@pytest.mark.parametrize("name", HEARD)
def test_a_worker_that_sleeps_runs_at_once_what_is_accepted(made, name):
    app, _, ran, _, _ = made(name)
    for number in range(3):
        time.sleep(0.6)  # it sleeps
        deliver(app, f"msg_{number}")
        wait_until(lambda number=number: len(ran) == number + 1, "the delivery to be run", lambda: str(ran))


@pytest.mark.parametrize("name", HEARD)
def test_of_many_that_are_accepted_at_once_none_waits_though_not_each_is_told_of(made, name):
    app, _, ran, _, _ = made(name)
    time.sleep(0.5)
    for number in range(60):
        deliver(app, f"msg_{number}")
    wait_until(lambda: len(ran) == 60, "all deliveries to be run", lambda: str(len(ran)))


def test_a_worker_listens_again_after_its_connection_was_cut(made, monkeypatch):
    monkeypatch.setattr("flask_whop.stores.waking._AGAIN_AFTER", 0.1)
    app, store, ran, _, _ = made("PostgreSQL")
    deliver(app, "msg_1")
    wait_until(lambda: ran == ["msg_1"], "the first delivery", str)
    with store._engine.connect() as connection:
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND state = 'idle'"
        assert connection.execute(sa.text(cut)).fetchall()
    time.sleep(1)
    deliver(app, "msg_2")
    wait_until(lambda: ran == ["msg_1", "msg_2"], "the second delivery", lambda: str(ran))


def test_a_server_that_cannot_be_listened_to_is_no_reason_not_to_work(caplog):
    def connect():
        raise OSError("no")

    waker = ListeningWaker(connect, "whop_none")
    assert waker.wait(0.01) is False
    waker.close()


def test_a_worker_puts_back_what_waits_behind_a_slow_delivery(made, monkeypatch):
    monkeypatch.setattr(worker, "_POLL_SECONDS", 0.2)
    monkeypatch.setattr(worker, "_PUT_BACK_AFTER", 0.3)
    app, store, ran, *_ = made("SQLite", concurrency=1)
    hang, hanging = threading.Event(), threading.Event()

    def slow(app, event):
        if event.id == "msg_0":
            hanging.set()
            hang.wait(30)

    app.extensions["whop"].on("payment.succeeded", name="slow")(slow)
    monkeypatch.setattr(Worker, "_batch", 32)
    for number in range(5):
        deliver(app, f"msg_{number}")
    assert hanging.wait(10)
    other = Worker(app, concurrency=1)
    try:
        wait_until(lambda: run_others(app, other, ran), "the others to be run elsewhere", lambda: str(ran))
    finally:
        hang.set()
    wait_until(lambda: store.get(Key("shop", "msg_0")).state is State.DONE, "the slow one", lambda: str(ran))
    assert sorted(ran) == [f"msg_{number}" for number in range(5)]


def run_others(app, other, ran):
    with app.app_context():
        other.run(once=True)
    return len(ran) == 5


def test_a_worker_that_is_told_to_stop_puts_back_what_it_has_not_begun(made, monkeypatch):
    monkeypatch.setattr(Worker, "_batch", 32)
    monkeypatch.setattr(worker, "_POLL_SECONDS", 0.2)
    app, store, ran, working, thread = made("SQLite", concurrency=1)
    hang, hanging = threading.Event(), threading.Event()

    def slow(app, event):
        hanging.set()
        hang.wait(30)

    app.extensions["whop"].on("payment.succeeded", name="slow")(slow)
    for number in range(8):
        deliver(app, f"msg_{number}")
    assert hanging.wait(10)
    working.stop()
    hang.set()
    thread.join(10)
    assert not thread.is_alive()
    states = [store.get(Key("shop", f"msg_{number}")) for number in range(8)]
    assert {one.state for one in states} == {State.DUE, State.DONE}
    assert {one.attempts for one in states if one.state is State.DUE} == {0}
    with app.app_context():
        Worker(app).run(once=True)
    assert sorted(ran) == [f"msg_{number}" for number in range(8)]


def test_what_a_frozen_process_had_claimed_is_not_begun_when_it_wakes(tmp_path):
    app = new_app(tmp_path, WHOP_DISPATCH="worker")
    whop = WhopWebhooks(app)
    ran = []
    whop.on("payment.succeeded", name="mail")(lambda app, event: ran.append(event.id))
    engine = Installation.of(app).engine
    for number in range(2):
        deliver(app, f"msg_{number}")
    first, second = engine.take_due(9)
    assert engine.run_claimed(first).status.value == "processed"
    held = engine.leases._held[second.taken.delivery.key, second.token]
    held.renewed_at -= engine.leases.lease  # as after a freeze for that long
    assert engine.run_claimed(second) is None
    assert ran == ["msg_0"]


def test_no_connection_is_held_while_a_receiver_runs_and_few_are_enough_for_many_threads():
    store = SQLAlchemyStore(url_of("PostgreSQL"), prefix=new_prefix(), pool_size=2)
    app = new_app()
    whop = WhopWebhooks(app, store=store)
    out, together = [], threading.Barrier(8)

    @whop.on("payment.succeeded", name="mail")
    def mail(app, event):
        together.wait(20)  # all of them are in here at once
        out.append(store._engine.pool.checkedout())

    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda n: Sender(app).deliver("payment.succeeded", id=f"msg_{n}").status_code, range(8))
        assert list(answers) == [200] * 8
    assert min(out) == 0
    assert store._engine.pool.size() == 2
    store.metadata.drop_all(store._engine)
    store.close()


def test_a_pool_that_is_used_up_is_answered_503_and_names_the_setting(caplog):
    store = SQLAlchemyStore(url_of("PostgreSQL"), prefix=new_prefix(), pool_size=1, pool_wait=0.1)
    app = new_app()
    WhopWebhooks(app, store=store)
    with store._engine.connect():
        assert Sender(app).deliver("payment.succeeded").status_code == 503
    assert "WHOP_STORE_POOL_SIZE" in caplog.text
    assert Sender(app).deliver("payment.succeeded").status_code == 200
    store.metadata.drop_all(store._engine)
    store.close()
