"""The contract that each store keeps, and what the one in memory adds to it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from flask_whop import WhopWebhooks
from flask_whop.stores import Claim, MemoryStore
from flask_whop.stores.memory import DAY
from tests.conftest import Sender

NOBODY = frozenset()


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def store():
    return MemoryStore()


def test_the_first_claim_is_granted_and_a_second_is_not_until_it_is_released(store):
    assert store.claim("whop", "msg_1") == Claim(granted=True, repeated=False, done=NOBODY)
    assert store.claim("whop", "msg_1") == Claim(granted=False, repeated=True, done=NOBODY)
    store.release("whop", "msg_1")
    assert store.claim("whop", "msg_1") == Claim(granted=True, repeated=True, done=NOBODY)


def test_who_is_done_is_known_at_the_next_claim(store):
    store.claim("whop", "msg_1")
    store.record("whop", "msg_1", "mail")
    store.record("whop", "msg_1", "fulfil")
    store.release("whop", "msg_1")
    assert store.claim("whop", "msg_1").done == {"mail", "fulfil"}


def test_deliveries_are_told_apart_by_endpoint_and_id(store):
    for endpoint, delivery_id in (("whop", "msg_1"), ("whop", "msg_2"), ("other", "msg_1")):
        assert store.claim(endpoint, delivery_id) == Claim(granted=True, repeated=False, done=NOBODY)


def test_of_many_threads_one_is_granted_the_claim(store):
    barrier = threading.Barrier(8)

    def claim(number):
        barrier.wait()
        return [store.claim("whop", f"msg_{n}").granted for n in range(400)]

    with ThreadPoolExecutor(8) as pool:
        granted = list(pool.map(claim, range(8)))
    assert [sum(column) for column in zip(*granted, strict=True)] == [1] * 400


def finish(store, delivery_id):
    store.claim("whop", delivery_id)
    store.record("whop", delivery_id, "mail")
    store.release("whop", delivery_id)


def test_memory_keeps_a_delivery_for_four_days_which_is_longer_than_whop_retries():
    clock = Clock()
    store = MemoryStore(clock=clock)
    finish(store, "msg_1")
    clock.now = 4 * DAY
    assert store.claim("whop", "msg_1").done == {"mail"}
    store.release("whop", "msg_1")
    clock.now = 8 * DAY + 1
    finish(store, "msg_2")
    assert not store.claim("whop", "msg_1").repeated


def test_memory_holds_a_bounded_number_and_forgets_the_oldest_first():
    store = MemoryStore(max_deliveries=3)
    for number in range(3):
        finish(store, f"msg_{number}")
    finish(store, "msg_0")
    finish(store, "msg_3")
    assert store.claim("whop", "msg_0").repeated
    assert store.claim("whop", "msg_3").repeated
    assert not store.claim("whop", "msg_1").repeated


def test_memory_never_forgets_what_is_being_processed():
    store = MemoryStore(max_deliveries=1)
    store.claim("whop", "msg_running")
    for number in range(5):
        finish(store, f"msg_{number}")
    assert not store.claim("whop", "msg_running").granted


def test_deliveries_that_come_together_run_each_receiver_once(app):
    calls, lock = [], threading.Lock()
    whop = WhopWebhooks(app)

    @whop.on("payment.succeeded")
    def counts(app, event):
        with lock:
            calls.append(event.id)

    def deliver(number):
        return Sender(app).deliver("payment.succeeded", id=f"msg_{number % 50}").status_code

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(deliver, range(400)))
    assert set(answers) <= {200, 409}
    assert sorted(calls) == sorted({f"msg_{number}" for number in range(50)})
