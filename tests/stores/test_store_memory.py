"""What the store in memory adds to the contract: bounds."""

from __future__ import annotations

import tracemalloc

from flask_whop import WhopWebhooks
from flask_whop.stores import Mark, MemoryStore, State, Turn
from flask_whop.stores.memory_contents import DAY
from tests.shop import Sender
from tests.stores.rows import DONE, FAILED, Clock, World, arrival, key, receipt


def world(**how):
    clock = Clock()
    return World(MemoryStore(clock=clock, **how), clock)


def test_a_delivery_is_kept_for_four_days_which_is_longer_than_whop_retries():
    memory = world()
    memory.done(1)
    memory.clock.now += 4 * DAY
    assert memory.claim(1).attempts == 2
    memory.store.settle(key(1), "mine", (memory.store.get(key(1)).state.DONE, None))
    memory.clock.now += 4 * DAY + 1
    memory.done(2)
    assert memory.claim(1).attempts == 1


def test_a_bounded_number_is_held_and_the_oldest_go_first():
    memory = world(max_deliveries=3)
    for number in (0, 1, 2, 0, 3):
        memory.done(number)
    assert [memory.store.get(key(number)) is not None for number in (1, 0, 3)] == [False, True, True]


def test_failures_are_bounded_as_well():
    memory = world(max_deliveries=50)
    for number in range(500):
        memory.claim(number)
        memory.store.settle(key(number), "mine", (memory.store.get(key(number)).state.FAILED, None))
    assert sum(memory.store.stats("shop").counts.values()) <= 50


def test_what_is_being_processed_is_never_forgotten():
    memory = world(max_deliveries=1)
    memory.claim("running")
    for number in range(5):
        memory.done(number)
    assert not memory.claim("running", token="yours").granted


def test_a_body_is_kept_while_it_may_be_needed_and_dropped_with_the_last_receipt():
    memory = world()
    memory.claim(1)
    assert memory.store.get(key(1)).body
    memory.done(2)
    assert memory.store.get(key(2)).body is None
    assert not memory.store.replay(key(2))


def test_bodies_are_bounded_by_their_bytes_and_what_was_done_stays_known():
    """Whop sends a body again with each retry; what a receiver has done it does not."""
    memory = world(max_bytes=100_000)
    for number in range(500):
        memory.claim(number, body=b"x" * 10_000)
        memory.store.record(key(number), "mine", receipt(memory.clock.now), FAILED)
    kept = [memory.store.get(key(number)).body for number in range(500)]
    assert sum(len(body) for body in kept if body) <= 110_000
    assert (kept[0], kept[-1]) == (None, b"x" * 10_000)
    assert not memory.store.replay(key(0))
    assert memory.store.replay(key(499))
    again = memory.claim(0, body=b"x" * 10_000)
    assert (again.attempts, list(again.receipts)) == (2, ["mail"])
    assert memory.store.get(key(0)).body == b"x" * 10_000


def test_the_body_of_what_is_processed_or_due_is_never_dropped():
    memory = world(max_bytes=10)
    memory.claim("running", body=b"x" * 99)
    memory.store.accept(arrival("due", body=b"y" * 99), 0)
    for number in range(5):
        memory.done(number)
    assert [len(memory.store.get(key(name)).body) for name in ("running", "due")] == [99, 99]


def test_what_is_postponed_is_due_once_and_at_its_new_time():
    memory = world()
    memory.store.accept(arrival(1), 0.0)
    memory.store.postpone(key(1), memory.clock.now + 50)
    memory.store.postpone(key(1), memory.clock.now + 10)
    assert memory.store.due("shop", 9) == []
    memory.clock.now += 10
    assert [one.key for one in memory.store.due("shop", 9)] == [key(1)]
    memory.clock.now += 50
    assert [one.key for one in memory.store.due("shop", 9)] == [key(1)]


def test_what_has_gone_on_leaves_little_in_the_queue():
    memory = world()
    for number in range(5_000):
        memory.store.accept(arrival(number), 30.0)
        memory.store.take(key(number), "mine", 30.0, early=True)
        memory.store.record(key(number), "mine", receipt(memory.clock.now), DONE)
    [queue] = memory.store._queues.values()
    assert len(queue._heap) < 2_000


def test_what_is_to_run_alone_is_found_behind_a_backlog():
    memory = world()
    for number in range(100):
        memory.store.accept(arrival(number), 0.0)
    memory.store.take(key(99), "died", 1.0)
    memory.clock.now += 2
    assert [(one.key, one.alone) for one in memory.store.due("shop", 1)] == [(key(0), False), (key(99), True)]
    memory.store.take(key(99), "fails", 1.0)
    memory.store.settle(key(99), "fails", (State.DUE, memory.clock.now))
    memory.clock.now += 1
    assert [(one.key, one.alone) for one in memory.store.due("shop", 1)] == [(key(0), False), (key(99), True)]


def test_each_delivery_is_counted_once_however_often_it_came():
    memory = world(max_deliveries=3)
    for number in (1, 1, 2, 3, 4, 4):
        memory.done(number)
    kept = [number for number in range(5) if memory.store.get(key(number)) is not None]
    assert memory.store.stats("shop").done_lately == len(kept) > 1
    memory.clock.now += 1
    memory.store.prune("shop", memory.clock.now)
    counts, done_lately, _ = memory.store.stats("shop")
    assert {done_lately, *counts.values()} == {0}


def test_texts_of_a_sender_are_no_longer_than_they_need_to_be():
    """A payload of a megabyte may be all type, or all id."""
    memory = world()
    long = "x" * 1_000_000
    resource = f"payment:{long}"
    tracemalloc.start()
    for number in range(20):
        memory.claim(number, event_type=f"{long}{number}", account_id=f"{long}{number}", resource=f"{resource}{number}")
        mark = Mark("mail", f"{resource}{number}", "timestamp", 100.0)
        assert memory.store.turn(key(number), "mine", mark, 30.0) is Turn.GRANTED
        memory.store.record(key(number), "mine", receipt(memory.clock.now), DONE, mark)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 3_000_000
    memory.claim("other", resource=f"{resource}1")
    assert memory.store.is_stale(key("other"), Mark("mail", f"{resource}1", "timestamp", 1.0), ["mail"])


def test_types_that_are_not_known_are_noted_once(app, caplog):
    app.debug = True
    caplog.set_level("INFO", "flask_whop")
    WhopWebhooks(app)
    for number in range(30):
        assert Sender(app).deliver(f"made.up_{number}").status_code == 200
    assert caplog.text.count("Nobody handles an unknown type") == 1
