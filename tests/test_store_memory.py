"""What the store in memory adds to the contract: bounds."""

from __future__ import annotations

from flask_whop.stores import MemoryStore
from flask_whop.stores.memory import DAY
from tests.test_stores import Clock, World, key


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
