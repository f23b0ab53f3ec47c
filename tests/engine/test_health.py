"""Whether deliveries are taken and run is known: to the app, a load balancer, and the doctor."""

from __future__ import annotations

import threading

import pytest

from flask_whop import WhopWebhooks
from flask_whop.engine.installation import Installation
from flask_whop.engine.worker import Worker, run_due
from flask_whop.errors import StoreUnavailable
from flask_whop.stores import Key
from tests.shop import Sender, new_app

PAID = "payment.succeeded"


class Shop:
    def __init__(self, folder, mode="worker", **config):
        self.app = new_app(folder, WHOP_DISPATCH=mode, WHOP_HEALTH_PATH="/healthz", **config)
        self.whop = WhopWebhooks(self.app)
        self.whop.on(PAID)(lambda app, event: None)
        self.store = Installation.of(self.app).store

    def deliver(self, delivery_id):
        return Sender(self.app).deliver(PAID, id=delivery_id)

    def health(self):
        with self.app.app_context():
            return self.whop.health()

    def advance(self, seconds):
        now = self.store.clock()
        self.store.clock = lambda: now + seconds


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path)


@pytest.fixture
def working(shop):
    """A worker of the shop, in a thread."""
    looked = threading.Event()
    worker = Worker(shop.app)
    thread = threading.Thread(target=worker.run, kwargs={"idle": looked.set})
    thread.start()
    assert looked.wait(10)
    yield worker
    worker.stop()
    thread.join()


def test_an_app_whose_worker_lives_is_healthy(shop, working):
    assert shop.health() == ((), 1, 0.0)
    assert shop.health().ok
    answer = shop.app.test_client().get("/healthz")
    assert (answer.status_code, answer.json) == (200, {"status": "ok", "workers": 1})


def test_an_app_whose_worker_has_ended_or_died_is_not(shop, working, caplog):
    working.stop()
    for _ in range(100):
        if not shop.health().ok:
            break
        threading.Event().wait(0.05)
    assert shop.health().problems == ("No worker has shown a sign of life for a minute: start `flask whop work`.",)
    answer = shop.app.test_client().get("/healthz")
    assert (answer.status_code, answer.json) == (503, {"status": "unhealthy", "workers": 0})
    assert "Not healthy: No worker has shown" in caplog.text


def test_a_worker_that_was_killed_counts_for_a_minute(shop):
    installation = Installation.of(shop.app)
    shop.store.put_note(installation.engine.endpoint, "worker killed", shop.store.clock())
    assert shop.health().workers == 1
    shop.advance(61)
    assert shop.health().workers == 0


@pytest.mark.parametrize("mode", ["worker", "after_response", "celery", "inline"])
def test_what_nobody_runs_is_unhealthy_in_every_mode(tmp_path, mode):
    shop = Shop(tmp_path, mode)
    engine = Installation.of(shop.app).engine
    shop.deliver("msg_1")
    if mode != "worker":
        engine.store.replay(Key(engine.endpoint, "msg_1"))
    shop.advance(600)
    health = shop.health()
    assert "A delivery has been due for 10 minutes, and nobody has run it." in health.problems
    assert 590 < health.overdue < 610
    run_due(shop.app)
    assert shop.health().overdue == 0.0


def test_a_store_that_cannot_be_used_is_a_problem_and_no_error(shop, monkeypatch):
    def fail(*_):
        raise StoreUnavailable("it is gone")

    monkeypatch.setattr(type(shop.store), "notes", fail)
    assert shop.health().problems == ("The store can't be used: it is gone",)
    assert shop.app.test_client().get("/healthz").status_code == 503


def test_an_inline_app_needs_no_worker(tmp_path):
    assert Shop(tmp_path, "inline").health().ok


def test_an_app_with_celery_may_have_no_worker_while_there_is_nothing_to_do(tmp_path):
    assert Shop(tmp_path, "celery").health() == ((), 0, 0.0)


def test_there_is_no_route_unless_it_is_asked_for(tmp_path):
    app = new_app(tmp_path)
    WhopWebhooks(app)
    assert app.test_client().get("/healthz").status_code == 404


def test_the_doctor_misses_the_worker(shop):
    assert "W305" in shop.app.test_cli_runner().invoke(args=["whop", "doctor"]).output


def test_a_backlog_that_is_full_leaves_the_rest_to_whop(tmp_path, caplog):
    shop = Shop(tmp_path, WHOP_MOST_DUE=3)
    limit = Installation.of(shop.app).engine._limit
    for number in range(3):
        assert shop.deliver(f"msg_{number}").status_code == 200
    limit._again_at = 0.0
    refused = shop.deliver("msg_3")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "60")
    assert "3 deliveries wait to be run already (WHOP_MOST_DUE)" in caplog.text
    run_due(shop.app)
    limit._again_at = 0.0
    assert shop.deliver("msg_3").json == {"status": "accepted"}


def test_a_backlog_is_counted_about_once_a_second(tmp_path, monkeypatch):
    shop = Shop(tmp_path, WHOP_MOST_DUE=100)
    counted = []
    real = type(shop.store).backlog
    monkeypatch.setattr(type(shop.store), "backlog", lambda *args: counted.append(1) or real(*args))
    for number in range(20):
        shop.deliver(f"msg_{number}")
    assert len(counted) <= 3
