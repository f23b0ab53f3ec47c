"""The contract that every store keeps; what one of them adds to it is in a file of its own."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import ANY

import pytest
from flask import Flask

from flask_whop.errors import ClaimLost
from flask_whop.stores import (
    Claim,
    Due,
    Filter,
    Hold,
    Key,
    Mark,
    Origin,
    ReceiptState,
    Settlement,
    State,
    Tally,
    Turn,
)
from flask_whop.stores.statements_mysql import MySQLStatements
from tests.stores import JOINED, STORES, opened
from tests.stores.rows import DEAD, DONE, FAILED, LEASE, Clock, World, arrival, key, receipt

OLDER = "MariaDB by the statements of MySQL"


@pytest.fixture(params=[*STORES, OLDER])
def world(request, tmp_path):
    clock = Clock()
    app = Flask("host", instance_path=str(tmp_path))
    with opened("MariaDB" if request.param == OLDER else request.param, app, clock=clock) as store, app.app_context():
        store.open(owned=False, keep_bodies=True)
        if request.param == OLDER:
            database = store._database()
            database.statements = MySQLStatements(store._tables.names(store._engine.dialect))
        yield World(store, clock, app.app_context)


WITH_TURNS = [name for name in STORES if name not in JOINED]  # the others decide in the receiver's transaction


# Claims.


def test_a_first_claim_is_granted_and_another_is_not_while_it_holds(world):
    first = world.claim()
    assert (first.granted, first.attempts, dict(first.receipts)) == (True, 1, {})
    second = world.claim(token="yours")
    assert (second.granted, second.owned) == (False, False)


def test_a_failed_delivery_is_claimed_again_with_the_receipts_so_far(world):
    world.claim()
    world.store.record(key(), "mine", receipt(world.clock.now), None)
    failed = receipt(world.clock.now, "fulfil", ReceiptState.FAILED, error="ValueError: no")
    world.store.record(key(), "mine", failed, FAILED)
    again = world.claim(token="yours")
    assert (again.granted, again.attempts) == (True, 2)
    assert again.receipts == {"mail": receipt(world.clock.now), "fulfil": failed}


def test_a_done_delivery_is_granted_again_for_receivers_that_have_come_since(world):
    world.done()
    again = world.claim(token="yours")
    assert again.granted
    assert again.receipts["mail"].state is ReceiptState.DONE


def test_deliveries_are_told_apart_by_endpoint_id_and_case(world):
    keys = [Key("shop", "msg_a"), Key("shop", "msg_A"), Key("desk", "msg_a")]
    assert all(world.store.claim(arrival(key=one), "mine", LEASE).granted for one in keys)


def test_a_claim_whose_lease_ran_out_is_taken_over_once(world):
    world.claim(token="died")
    world.clock.now += LEASE + 1
    assert [world.claim(token=token).granted for token in ("first", "second")] == [True, False]


def test_a_lease_is_renewed_by_who_holds_it_and_by_nobody_else(world):
    world.claim()
    world.clock.now += LEASE - 1
    assert world.store.renew(key(), "mine", LEASE)
    assert not world.store.renew(key(), "yours", LEASE)
    world.clock.now += LEASE - 1
    assert not world.claim(token="yours").granted


def test_who_lost_a_claim_cannot_end_it(world):
    world.claim(token="slow")
    world.clock.now += LEASE + 1
    world.claim(token="quick")
    with pytest.raises(ClaimLost, match="msg_1"):
        world.store.settle(key(), "slow", FAILED)
    with pytest.raises(ClaimLost, match="msg_1"):
        world.store.record(key(), "slow", receipt(world.clock.now), None)
    with pytest.raises(ClaimLost, match="msg_1"):
        world.store.record(key(), "slow", receipt(world.clock.now), DONE)
    assert list(world.store.receipts(key())) == []
    assert not world.store.renew(key(), "slow", LEASE)
    assert world.store.get(key()).state is State.RUNNING


def test_of_many_that_claim_at_once_one_is_granted(world):
    barrier = threading.Barrier(8)

    def claim(token):
        with world.context():
            barrier.wait()
            return [world.claim(number, token).granted for number in range(40)]

    with ThreadPoolExecutor(8) as pool:
        granted = list(pool.map(claim, map(str, range(8))))
    assert [sum(column) for column in zip(*granted, strict=True)] == [1] * 40


# What is ours.


def test_an_accepted_delivery_is_due_when_it_was_said_and_not_before(world):
    assert world.store.accept(arrival(), 10)[:3] == (True, State.DUE, True)
    assert world.store.due("shop", 9) == []
    assert world.store.take(key(), "mine", LEASE) is None
    world.clock.now += 10
    assert world.store.due("shop", 9) == [Due(key(), alone=False)]
    taken = world.store.take(key(), "mine", LEASE)
    assert (taken.delivery.body, taken.delivery.attempts, dict(taken.receipts)) == (b'{"id": 1}', 1, {})
    assert world.store.due("shop", 9) == []


def test_a_due_delivery_is_taken_early_by_who_is_handed_it(world):
    world.store.accept(arrival(), 30)
    assert world.store.take(key(), "mine", LEASE, early=True)
    assert world.store.take(key(), "yours", LEASE, early=True) is None


def test_what_is_due_is_postponed_and_nothing_else_is(world):
    world.store.accept(arrival(), 0)
    world.store.postpone(key(), world.clock.now + 10)
    assert world.store.due("shop", 9) == []
    world.clock.now += 10
    assert [one.key for one in world.store.due("shop", 9)] == [key()]
    world.claim(2)
    world.store.postpone(key(2), world.clock.now)
    assert world.store.get(key(2)).state is State.RUNNING
    world.store.postpone(key(3), 0.0)
    assert world.store.get(key(3)) is None


def test_what_is_ours_already_is_not_accepted_twice(world):
    world.store.accept(arrival(), 0)
    assert world.store.accept(arrival(), 0)[:3] == (False, State.DUE, True)
    world.store.take(key(), "mine", LEASE)
    assert world.store.accept(arrival(), 0)[:3] == (False, State.RUNNING, True)
    world.store.settle(key(), "mine", DONE)
    assert world.store.accept(arrival(), 0)[:2] == (False, State.DONE)


def test_what_is_ours_is_not_claimed_for_a_sender_that_waits(world):
    world.store.accept(arrival(), 0)
    assert world.claim() == (False, True, 0, {})


def test_what_runs_for_a_sender_that_waits_is_not_accepted(world):
    world.claim()
    assert world.store.accept(arrival(), 0)[:3] == (False, State.RUNNING, False)


def test_what_failed_while_its_sender_waited_becomes_ours_when_accepted(world):
    world.claim()
    world.store.settle(key(), "mine", FAILED)
    assert world.store.accept(arrival(), 0).changed
    assert world.store.get(key()).owned


def test_what_a_dead_process_left_is_due_when_its_lease_has_run_out(world):
    world.claim()
    assert world.store.due("shop", 9) == []
    world.clock.now += LEASE + 1
    # What ran it died, and may do so again: nothing else is to run beside it.
    assert world.store.due("shop", 9) == [Due(key(), alone=True)]
    taken = world.store.take(key(), "worker", LEASE)
    assert world.store.get(key()).owned
    # What is tried for a day is so from the time at which it became ours.
    assert taken.delivery.opened_at == world.clock.now


def test_a_failed_try_is_due_again_when_its_settlement_says(world):
    world.store.accept(arrival(), 0)
    world.store.take(key(), "mine", LEASE)
    at = world.clock.now + 60
    failed = receipt(world.clock.now, state=ReceiptState.FAILED, due_at=at, error="no")
    world.store.record(key(), "mine", failed, Settlement(State.DUE, at))
    assert world.store.take(key(), "mine", LEASE) is None
    world.clock.now = at
    assert world.store.take(key(), "mine", LEASE).receipts == {"mail": failed}


def test_what_is_due_comes_the_longest_due_first_and_of_one_endpoint_alone(world):
    for number, due_in in ((1, 3), (2, 1), (3, 2)):
        world.store.accept(arrival(number), due_in)
    world.store.accept(arrival(key=Key("desk", "msg_9")), 0)
    world.clock.now += 5
    assert [one.key for one in world.store.due("shop", 2)] == [key(2), key(3)]


def test_of_many_that_take_at_once_one_gets_it(world):
    for number in range(20):
        world.store.accept(arrival(number), 0)
    barrier = threading.Barrier(6)

    def take(token):
        with world.context():
            barrier.wait()
            return [world.store.take(key(number), token, LEASE) is not None for number in range(20)]

    with ThreadPoolExecutor(6) as pool:
        taken = list(pool.map(take, map(str, range(6))))
    assert [sum(column) for column in zip(*taken, strict=True)] == [1] * 20


# Receipts.


def test_a_receipt_is_replaced_by_the_next_one_and_keeps_its_first_time(world):
    world.claim()
    start = world.clock.now
    world.store.record(key(), "mine", receipt(start, state=ReceiptState.FAILED, error="no"), FAILED)
    world.clock.now += 30
    world.claim()
    later = receipt(start, attempts=2, last_at=world.clock.now)
    world.store.record(key(), "mine", later, DONE)
    assert list(world.store.receipts(key())) == [later]
    assert world.store.get(key()).state is State.DONE


def test_a_receipt_may_count_its_time_anew(world):
    world.claim()
    world.store.record(key(), "mine", receipt(world.clock.now, state=ReceiptState.FAILED, error="no"), FAILED)
    world.clock.now += 30
    world.claim()
    anew = receipt(world.clock.now, attempts=2, state=ReceiptState.FAILED)
    world.store.record(key(), "mine", anew, FAILED)
    assert list(world.store.receipts(key())) == [anew]


def test_texts_that_a_database_would_refuse_are_kept_as_far_as_they_go(world):
    odd = arrival(1, event_type="odd\x00\ud800" + "x" * 400, account_id="b" * 400, resource="r\x00" * 300)
    assert world.store.claim(odd, "mine", LEASE).granted
    long = "module:" + "qualname" * 60
    world.store.record(key(), "mine", receipt(world.clock.now, long), None)
    world.store.record(key(), "mine", receipt(world.clock.now, long + "2"), DONE)
    assert len(world.store.receipts(key())) == 2


def test_a_body_of_a_megabyte_comes_back_byte_for_byte(world):
    body = bytes(range(256)) * 4096
    world.store.accept(arrival(body=body), 0)
    assert world.store.take(key(), "mine", LEASE).delivery.body == body


# Looking, replaying, forgetting.


def test_a_dead_delivery_is_replayed_for_the_receivers_that_are_not_done(world):
    world.store.accept(arrival(), 0)
    world.store.take(key(), "mine", LEASE)
    world.store.record(key(), "mine", receipt(world.clock.now), None)
    dead = receipt(world.clock.now, "fulfil", ReceiptState.DEAD, error="no")
    world.store.record(key(), "mine", dead, DEAD)
    world.clock.now += 3600
    assert world.store.replay(key())
    taken = world.store.take(key(), "again", LEASE)
    assert {name: one.state for name, one in taken.receipts.items()} == {
        "mail": ReceiptState.DONE,
        "fulfil": ReceiptState.FAILED,
    }
    assert taken.delivery.opened_at == world.clock.now


def test_what_runs_or_is_not_there_is_not_replayed(world):
    assert not world.store.replay(key())
    world.claim()
    assert not world.store.replay(key())


def mark(at, field="timestamp", resource="payment:pay_1", receiver="mail"):
    return Mark(receiver, resource, field, at)


def test_a_newer_event_of_a_resource_is_known_once_the_receiver_is_done_with_it(world):
    world.claim(1, occurred_at=200.0)
    assert not world.store.is_stale(key(2), mark(100.0), ["mail"])
    world.store.record(key(1), "mine", receipt(world.clock.now), None)
    failed = receipt(world.clock.now, "fulfil", ReceiptState.FAILED, error="no")
    world.store.record(key(1), "mine", failed, FAILED)
    # Whatever became of the others.
    assert world.store.is_stale(key(2), mark(100.0), ["mail"])
    assert world.store.is_stale(key(2), mark(100.0), ["post", "mail"])
    assert not world.store.is_stale(key(2), mark(100.0), ["fulfil"])
    assert not world.store.is_stale(key(2), mark(200.0), ["mail"])
    assert not world.store.is_stale(key(2), mark(100.0, resource="payment:pay_2"), ["mail"])
    assert not world.store.is_stale(key(2), mark(100.0, "updated_at"), ["mail"])
    assert not world.store.is_stale(key(1), mark(100.0), ["mail"])
    assert not world.store.is_stale(Key("desk", "msg_2"), mark(100.0), ["mail"])


def test_times_of_two_fields_are_never_compared(world):
    world.done(1, occurred_at=200.0, updated_at=900.0)
    assert world.store.is_stale(key(2), mark(800.0, "updated_at"), ["mail"])
    assert not world.store.is_stale(key(2), mark(100.0, "timestamp"), ["mail"])


@pytest.mark.parametrize("world", WITH_TURNS, indirect=True)
def test_of_two_events_of_a_resource_one_has_the_turn_of_a_receiver(world):
    for number in (1, 2):
        world.claim(number, f"token {number}")
    turn = world.store.turn
    assert turn(key(1), "token 1", mark(100.0), LEASE) is Turn.GRANTED
    assert turn(key(2), "token 2", mark(50.0), LEASE) is Turn.BUSY
    assert turn(key(1), "token 1", mark(100.0), LEASE) is Turn.GRANTED
    for other in (mark(50.0, resource="payment:pay_2"), mark(50.0, receiver="books"), mark(50.0, "updated_at")):
        assert turn(key(2), "token 2", other, LEASE) is Turn.GRANTED
    world.store.record(key(1), "token 1", receipt(world.clock.now), DONE, mark(100.0))
    assert turn(key(2), "token 2", mark(50.0), LEASE) is Turn.STALE
    assert turn(key(2), "token 2", mark(100.0), LEASE) is Turn.GRANTED


@pytest.mark.parametrize("world", WITH_TURNS, indirect=True)
def test_a_turn_ends_with_a_failure_and_with_its_time_and_is_renewed_with_its_claim(world):
    for number in (1, 2):
        world.claim(number, f"token {number}")
    turn = world.store.turn
    assert turn(key(1), "token 1", mark(100.0), LEASE) is Turn.GRANTED
    failed = receipt(world.clock.now, state=ReceiptState.FAILED, error="no")
    world.store.record(key(1), "token 1", failed, None, mark(100.0))
    assert turn(key(2), "token 2", mark(50.0), LEASE) is Turn.GRANTED
    world.clock.now += LEASE - 1
    assert world.store.lifeline().renew(key(2), "token 2", LEASE, mark(50.0))
    world.store.lifeline().rest()
    world.clock.now += LEASE - 1
    world.claim(3, "token 3")
    assert turn(key(3), "token 3", mark(100.0), LEASE) is Turn.BUSY
    world.clock.now += 2
    assert turn(key(3), "token 3", mark(100.0), LEASE) is Turn.GRANTED


@pytest.mark.parametrize("world", WITH_TURNS, indirect=True)
def test_a_late_holder_leaves_the_turn_of_its_receiver_when_it_would_renew(world):
    world.claim(1, "late")
    world.clock.now += LEASE - 5
    assert world.store.turn(key(1), "late", mark(100.0), LEASE) is Turn.GRANTED
    world.clock.now += 10
    assert world.claim(1, "new").granted
    assert world.store.turn(key(1), "new", mark(100.0), LEASE) is Turn.BUSY
    lifeline = world.store.lifeline()
    assert not lifeline.renew(key(1), "late", LEASE, mark(100.0))
    assert world.store.turn(key(1), "new", mark(100.0), LEASE) is Turn.GRANTED


def test_what_is_done_is_not_made_a_failure_by_who_lost_the_claim(world):
    world.claim(1, "late")
    world.clock.now += LEASE + 1
    world.done(1, "new")
    failed = receipt(world.clock.now, state=ReceiptState.FAILED, error="late", attempts=2)
    for settlement in (None, FAILED):
        with pytest.raises(ClaimLost):
            world.store.record(key(1), "late", failed, settlement)
    world.claim(1, "again")
    with pytest.raises(ClaimLost):
        world.store.record(key(1), "again", failed, None)
    assert [one.state for one in world.store.receipts(key(1))] == [ReceiptState.DONE]


def test_a_receiver_that_was_not_done_is_known_by_name(world):
    world.done(1, receiver="mail")
    world.claim(2)
    world.store.record(key(2), "mine", receipt(world.clock.now, "old:name", ReceiptState.FAILED, error="no"), FAILED)
    assert list(world.store.receivers("shop")) == ["old:name"]
    assert list(world.store.receivers("desk")) == []


def test_deliveries_are_found_by_state_type_account_and_age_the_latest_first(world):
    world.done(1)
    world.clock.now += 10
    world.claim(2, event_type="refund.created", account_id="biz_2")
    world.store.settle(key(2), "mine", FAILED)
    world.clock.now += 10
    world.claim(3, event_type="payment_x.y")
    world.store.accept(arrival(key=Key("desk", "msg_4")), 0)

    def ids(limit=9, **wanted):
        return [one.key.id for one in world.store.find("shop", Filter(**wanted), limit)]

    assert ids() == ["msg_3", "msg_2", "msg_1"]
    assert ids(limit=2) == ["msg_3", "msg_2"]
    assert ids(states=[State.DONE, State.FAILED]) == ["msg_2", "msg_1"]
    assert ids(event_type="refund.created") == ["msg_2"]
    assert ids(event_type="payment.*") == ["msg_1"]
    assert ids(account_id="biz_2") == ["msg_2"]
    assert ids(since=world.clock.now - 10, until=world.clock.now) == ["msg_2"]
    assert world.store.find("shop", Filter(), 1)[0].body is None
    assert world.store.get(key(9)) is None


def test_in_the_pattern_of_a_type_a_star_stands_for_any_text_and_nothing_else_does(world):
    world.claim(1, event_type="payment.succeeded")
    world.claim(2, event_type="payment.failed")

    def found(pattern):
        return sorted(one.key.id for one in world.store.find("shop", Filter(event_type=pattern), 9))

    for both in ("*", "**", "payment.*", "p*ed", "*a*.*e*"):
        assert found(both) == ["msg_1", "msg_2"]
    assert found("*succ*") == found("*.succeeded") == found("payment.succeeded*") == ["msg_1"]
    for none in ("payment", "*payment", "payment.succeeded*d", "payment.succee?ed", "payment.[sf]*", "*x*"):
        assert found(none) == []
    # A regular expression would still be at it when the sun is gone.
    assert found("*" * 100 + "x") == found("*e" * 50) == []


def test_stats_count_each_state_and_tell_the_age_of_the_oldest_unfinished(world):
    none = dict.fromkeys([State.RUNNING, State.FAILED, State.DUE, State.DEAD], 0)
    assert world.store.stats("shop") == (none, 0, None)
    world.done(9)
    world.clock.now += 3601
    world.done(1)
    world.clock.now += 5
    world.claim(2)
    world.clock.now += 5
    world.store.accept(arrival(3), 0)
    world.store.accept(arrival(key=Key("desk", "msg_4")), 0)
    counts, done_lately, oldest = world.store.stats("shop")
    assert counts == none | {State.RUNNING: 1, State.DUE: 1}
    assert (done_lately, oldest) == (1, 5)


def test_what_is_old_is_forgotten_with_its_receipts_and_what_is_unfinished_is_not(world):
    for number in range(3):
        world.done(number)
    world.store.accept(arrival(7), 0)
    world.clock.now += 100
    world.done(8)
    assert world.store.prune("desk", world.clock.now) == 0
    assert world.store.prune("shop", world.clock.now) == 3
    assert [one.key.id for one in world.store.find("shop", Filter(), 9)] == ["msg_8", "msg_7"]
    assert list(world.store.receipts(key(1))) == []
    assert world.claim(1).attempts == 1


def test_pruning_ends_however_much_there_is_to_forget(world):
    for number in range(253):
        world.claim(number)
        world.store.settle(key(number), "mine", DONE)
    world.clock.now += 100
    assert world.store.prune("shop", world.clock.now) == 253


def test_dead_letters_that_are_forgotten_are_told_of(world, caplog):
    for number in (1, 2):
        world.claim(number)
        world.store.settle(key(number), "mine", DEAD)
    world.done(3)
    world.clock.now += 100
    assert world.store.prune("shop", world.clock.now) == 3
    assert "Deleted 2 dead letters" in caplog.text


@pytest.mark.parametrize("world", ["PostgreSQL", "MariaDB", "SessionStore on PostgreSQL"], indirect=True)
def test_what_is_replayed_while_it_is_being_forgotten_stays(world):
    world.claim()
    world.store.record(key(), "mine", receipt(world.clock.now, state=ReceiptState.DEAD), DEAD)
    table = world.store._tables.deliveries
    pruned = []

    def prune():
        with world.context():
            pruned.append(world.store.prune("shop", world.clock.now + 1))

    with world.store._engine.connect().execution_options(isolation_level="READ COMMITTED") as replaying:
        replaying.execute(table.update().values(state="due", due_at=world.clock.now, changed_at=world.clock.now + 9))
        other = threading.Thread(target=prune)
        other.start()
        other.join(1)  # it finds the delivery as it was, and passes it over
        replaying.commit()
    other.join()
    assert pruned == [0]
    assert world.store.get(key()).state is State.DUE
    assert len(world.store.receipts(key())) == 1


# Batches.


def test_what_is_due_is_claimed_in_batches_the_longest_due_first(world):
    for number in (3, 1, 2):
        world.store.accept(arrival(number), 0)
        world.clock.now += 1
    first = world.store.take_due("shop", "first", LEASE, 2)
    second = world.store.take_due("shop", "second", LEASE, 2)
    assert [one.delivery.key for one in (*first, *second)] == [key(3), key(1), key(2)]
    assert {(one.delivery.attempts, one.delivery.body) for one in first} == {(1, b'{"id": 1}')}
    assert world.store.take_due("shop", "third", LEASE, 2) == []


def test_a_batch_has_none_of_another_endpoint_and_none_that_runs_alone(world):
    world.store.accept(arrival(key=Key("desk", "msg_9")), 0)
    world.store.accept(arrival(1), 0)
    world.store.take(key(1), "died", LEASE)
    world.clock.now += LEASE + 1
    world.store.accept(arrival(2), 0)
    assert [one.delivery.key for one in world.store.take_due("shop", "mine", LEASE, 9)] == [key(2)]


def test_a_batch_brings_the_receipts_of_what_was_tried_before(world):
    world.store.accept(arrival(), 0)
    world.store.take(key(), "before", LEASE)
    failed = receipt(world.clock.now, state=ReceiptState.FAILED, due_at=world.clock.now)
    world.store.record(key(), "before", failed, Settlement(State.DUE, world.clock.now))
    [taken] = world.store.take_due("shop", "mine", LEASE, 9)
    assert (taken.delivery.attempts, taken.receipts) == (2, {"mail": failed})


def test_what_a_process_had_merely_claimed_when_it_died_counts_as_no_attempt(world):
    for number in range(1, 5):
        world.store.accept(arrival(number), 0)
        world.clock.now += 1
    assert len(world.store.take_due("shop", "died", LEASE, 9)) == 4
    world.store.record(key(1), "died", receipt(world.clock.now), DONE)
    world.clock.now += LEASE + 1
    found = {one.key: one.alone for one in world.store.due("shop", 9)}
    assert found == {key(2): True, key(3): False, key(4): False}
    taken = world.store.take_due("shop", "mine", LEASE, 9)
    assert [(one.delivery.key, one.delivery.attempts) for one in taken] == [(key(3), 1), (key(4), 1)]
    assert world.store.take(key(2), "alone", LEASE).delivery.attempts == 2


def test_what_is_put_back_is_due_as_if_it_had_not_been_taken(world):
    world.store.accept(arrival(), 0)
    world.store.take_due("shop", "mine", LEASE, 9)
    world.store.put_back(key(), "yours")
    assert world.store.due("shop", 9) == []
    world.store.put_back(key(), "mine")
    assert world.store.due("shop", 9) == [Due(key(), alone=False)]
    assert world.store.take(key(), "next", LEASE).delivery.attempts == 1


def test_what_is_taken_in_batches_by_many_at_once_is_taken_once(world):
    for number in range(40):
        world.store.accept(arrival(number), 0)

    def take(token):
        with world.context():
            batches = [world.store.take_due("shop", f"{token} {number}", LEASE, 3) for number in range(10)]
            return [one.delivery.key for batch in batches for one in batch]

    with ThreadPoolExecutor(4) as pool:
        taken = [one for some in pool.map(take, ["a", "b", "c", "d"]) for one in some]
    taken += [one.delivery.key for one in world.store.take_due("shop", "rest", LEASE, 99)]
    assert sorted(taken) == sorted(key(number) for number in range(40))


def test_what_is_accepted_and_held_is_run_by_its_holder_and_due_when_that_dies(world):
    hold = Hold("mine", LEASE)
    accepted = world.store.accept(arrival(), 0, hold)
    assert (accepted.changed, accepted.attempts, accepted.receipts) == (True, 1, {})
    assert world.store.accept(arrival(), 0, Hold("yours", LEASE))[:3] == (False, State.RUNNING, True)
    assert world.store.due("shop", 9) == []
    world.clock.now += LEASE + 1
    assert [one.key for one in world.store.due("shop", 9)] == [key()]
    world.store.record(key(), "mine", receipt(world.clock.now), DONE)
    assert world.store.get(key()).state is State.DONE


def test_what_had_failed_for_its_sender_is_accepted_and_held_with_its_receipts(world):
    world.claim()
    failed = receipt(world.clock.now, state=ReceiptState.FAILED)
    world.store.record(key(), "mine", failed, FAILED)
    accepted = world.store.accept(arrival(), 0, Hold("yours", LEASE))
    assert (accepted.changed, accepted.attempts, accepted.receipts) == (True, 2, {"mail": failed})


def test_a_delivery_that_was_pulled_is_marked_so_and_has_no_secret(world):
    world.done(1)
    world.claim(2, secret_index=None, origin=Origin.PULLED)
    world.done(3, secret_index=None, origin=Origin.PULLED)
    found = {one.key.id: (one.origin, one.secret_index) for one in world.store.find("shop", Filter(), 9)}
    pulled = (Origin.PULLED, None)
    assert found == {"msg_1": (Origin.ARRIVED, 0), "msg_2": pulled, "msg_3": pulled}


def test_the_span_in_which_it_first_arrived_is_kept_with_a_delivery(world):
    first, second = (f"00-{number:032x}-{number:016x}-01" for number in (1, 2))
    world.claim(trace=first)
    world.store.settle(key(), "mine", FAILED)
    world.store.accept(arrival(trace=second), 0)
    world.store.accept(arrival(2, trace=second), 0)
    world.store.accept(arrival(3), 0)
    taken = [world.store.take(key(number), "mine", LEASE).delivery.trace for number in (1, 2, 3)]
    assert taken == [first, second, None]
    assert {one.key.id: one.trace for one in world.store.find("shop", Filter(), 9)} == {
        "msg_1": first,
        "msg_2": second,
        "msg_3": None,
    }


def test_an_answer_is_kept_with_the_receipt(world):
    world.claim()
    world.store.record(key(), "mine", receipt(world.clock.now, answer='{"tax": {}}'), DONE)
    assert [one.answer for one in world.store.receipts(key())] == ['{"tax": {}}']


def test_a_time_is_noted_for_an_endpoint_and_the_latest_one_counts(world):
    assert world.store.note("shop", "began") is None
    world.store.put_note("shop", "began", 12.5)
    world.store.put_note("other", "began", 1.0)
    for at in (13.5, 11.5):
        world.store.put_note("shop", "began", at)
    world.store.prune("shop", world.clock.now + 1e9)
    assert (world.store.note("shop", "began"), world.store.note("other", "began")) == (13.5, 1.0)


def test_notes_are_read_and_forgotten_by_the_beginning_of_their_names(world):
    for name, at in (("worker a", 1.0), ("worker b", 5.0), ("began", 1.0)):
        world.store.put_note("shop", name, at)
    world.store.put_note("other", "worker c", 1.0)
    assert world.store.notes("shop", "worker ") == {"worker a": 1.0, "worker b": 5.0}
    world.store.drop_notes("shop", "worker ", 5.0)
    assert world.store.notes("shop", "worker ") == {"worker b": 5.0}
    assert world.store.note("shop", "began") == 1.0
    assert world.store.notes("other", "worker ") == {"worker c": 1.0}


def test_the_backlog_is_what_is_due_now_or_later_and_counted_no_further_than_asked(world):
    for number in range(4):
        world.store.accept(arrival(number), 60.0 * number)
    world.claim(9)
    assert [world.store.backlog("shop", most) for most in (2, 4, 9)] == [2, 4, 4]
    assert world.store.backlog("other", 9) == 0


def test_deliveries_are_found_by_what_they_are_about_and_by_any_of_their_ids(world):
    world.done(1, resource="payment:pay_1")
    world.claim(2, resource="payment:pay_2", account_id="biz_2")
    world.claim(3, resource="payment:pay_1")

    def found(**wanted):
        return sorted(one.key.id for one in world.store.find("shop", Filter(**wanted), 9))

    assert found(resource="payment:pay_1") == ["msg_1", "msg_3"]
    assert found(text="pay_1") == found(text="payment:pay_1") == ["msg_1", "msg_3"]
    assert found(text="msg_2") == found(text="biz_2") == ["msg_2"]
    assert found(text="pay_1", states=[State.DONE]) == ["msg_1"]
    assert found(text="pay_") == found(text="payment:p") == found(text="m") == ["msg_1", "msg_2", "msg_3"]
    assert found(text="biz_", states=[State.RUNNING], resource="payment:pay_2") == ["msg_2"]
    assert found(text="PAY_1") == found(text="ay_1") == found(text="pay_%") == found(text="msg__") == []
    assert found(text="nobody") == found(resource="payment:pay_9") == []


def test_deliveries_are_found_by_their_receipts(world):
    world.done(1, receiver="mail")
    world.claim(2)
    world.store.record(key(2), "mine", receipt(world.clock.now, "books", ReceiptState.GIVEN_UP), DONE)

    def found(**wanted):
        return [one.key.id for one in world.store.find("shop", Filter(**wanted), 9)]

    assert found(receiver="mail") == ["msg_1"]
    assert found(receipt_state=ReceiptState.GIVEN_UP) == ["msg_2"]
    assert found(receiver="mail", receipt_state=ReceiptState.GIVEN_UP) == []


def test_all_that_receivers_gave_up_on_is_found_unless_some_are_enough(world, monkeypatch):
    monkeypatch.setattr("flask_whop.stores.searches.MOST_UNORDERED", 2)
    for number in range(1, 5):
        world.claim(number)
        world.store.record(key(number), "mine", receipt(world.clock.now, "books", ReceiptState.GIVEN_UP), DONE)
        world.clock.now += 1
    wanted = Filter(receiver="books", receipt_state=ReceiptState.GIVEN_UP)
    assert [one.key.id for one in world.store.find("shop", wanted, 9)] == ["msg_4", "msg_3", "msg_2", "msg_1"]
    some = [one.key.id for one in world.store.find("shop", wanted._replace(is_complete=False), 9)]
    assert some[:2] == ["msg_4", "msg_3"]


def test_a_page_begins_where_the_last_one_ended(world):
    for number in range(1, 8):
        world.claim(number)
        world.clock.now += number // 3  # several arrive at once
    pages, before = [], None
    while page := world.store.find("shop", Filter(before=before), 2):
        pages += [one.key.id for one in page]
        before = page[-1].received_at, page[-1].key.id
    assert pages == [f"msg_{number}" for number in range(7, 0, -1)]


def test_a_search_goes_down_to_a_place(world):
    for number in range(1, 6):
        world.claim(number)
    [_, second, *_] = world.store.find("shop", Filter(), 9)
    found = world.store.find("shop", Filter(down_to=(second.received_at, second.key.id)), 9)
    assert [one.key.id for one in found] == ["msg_5", "msg_4"]


def test_a_search_that_an_index_answers_alone_has_no_edge_and_another_has_one(world):
    for number in range(1, 6):
        world.claim(number, account_id="biz_1")
    for wanted in (Filter(), Filter(account_id="biz_1"), Filter([State.RUNNING]), Filter(text="msg_")):
        assert world.store.edge("shop", wanted, 2) is None
    mixed = Filter([State.RUNNING], account_id="biz_1")
    assert world.store.edge("shop", mixed, 9) is None
    if (edge := world.store.edge("shop", mixed, 2)) is not None:  # memory looks at everything
        assert edge[1] == "msg_4"
        assert [one.key.id for one in world.store.find("shop", mixed._replace(down_to=edge), 9)] == ["msg_5", "msg_4"]


def test_the_edge_of_a_search_for_a_text_moves_on_from_page_to_page(world):
    # The text begins both an account, whose index gives the latest first, and ids, whose index doesn't.
    for number in range(1, 10):
        world.claim(number, account_id="msg_of_nobody" if number == 1 else "biz_1")
    wanted, before = Filter(account_id="biz_1", text="msg_"), None
    seen: list[str] = []
    for _ in range(20):
        edge = world.store.edge("shop", wanted._replace(before=before), 2)
        found = world.store.find("shop", wanted._replace(before=before, down_to=edge), 99)
        seen += [one.key.id for one in found]
        if (before := edge) is None:
            break
    assert before is None
    assert seen == [f"msg_{number}" for number in range(9, 1, -1)]


def test_tallies_add_up_by_hour_kind_and_name_until_they_are_dropped(world):
    first, second = Tally(400_000, "outcome", "done"), Tally(400_001, "outcome", "done")
    world.store.tally("shop", {first: 2, second: 1})
    world.store.tally("shop", {second: 4, first._replace(name="dead"): 1})
    world.store.tally("other", {second: 1})
    dead, other = first._replace(name="dead"), Tally(400_000, "seconds", "7")
    world.store.tally("shop", {other: 1, other._replace(hour=400_001): 2})
    assert world.store.tallies("shop", 400_000, "outcome") == {first: 2, second: 5, dead: 1, other: 3}
    assert world.store.tallies("shop", 400_001, "outcome") == {second: 5, other._replace(hour=400_001): 2}
    world.store.drop_tallies("shop", 400_001)
    assert world.store.tallies("shop", 0, "outcome")[second] == 5
    assert len(world.store.tallies("shop", 0, "outcome")) == 2
    assert world.store.tallies("other", 0, "outcome") == {second: 1}


def test_some_receivers_are_called_again_and_the_delivery_is_claimed_in_the_same_step(world):
    if not world.keeps_bodies:
        pytest.skip("a done delivery has no body here")
    world.claim()
    world.store.record(key(), "mine", receipt(world.clock.now, "mail"), None)
    world.store.record(key(), "mine", receipt(world.clock.now, "books", ReceiptState.DEAD), DEAD)
    hold = Hold("again", LEASE)
    assert world.store.replay_some(key(), hold, ["mail"], ["mail"]) is None, "it has finished"
    assert world.store.get(key()).state is State.DEAD, "and nothing has changed"
    taken = world.store.replay_some(key(), hold, ["mail"])
    states = {one.receiver: one.state for one in world.store.receipts(key())}
    assert states == {"mail": ReceiptState.FAILED, "books": ReceiptState.DEAD}
    assert {one.state for one in taken.receipts.values()} == {ReceiptState.FAILED, ReceiptState.DEAD}
    assert world.store.get(key()).state is State.RUNNING
    assert world.store.take(key(), "other", LEASE, early=True) is None
    assert world.store.replay_some(key(), Hold("other", LEASE), ["mail"]) is None
    world.store.record(key(), "again", receipt(world.clock.now, "mail"), DONE)
    assert world.store.get(key()).state is State.DONE


def test_what_a_dead_process_left_is_replayed_and_erased(world):
    for number in (1, 2, 3):
        world.claim(number)
    assert not world.store.replay(key(1))
    assert world.store.replay_some(key(2), Hold("again", LEASE), []) is None
    assert world.store.erase([key(3)]) == 0
    world.clock.now += LEASE + 1
    assert world.store.replay(key(1))
    assert world.store.replay_some(key(2), Hold("again", LEASE), []) is not None
    assert world.store.erase([key(3)]) == 1


def test_what_is_erased_keeps_its_receipts_and_is_done_for_good(world):
    world.claim(1)
    world.store.record(key(1), "mine", receipt(world.clock.now, "mail", ReceiptState.FAILED, error="Ada"), FAILED)
    world.claim(2)
    world.done(3)
    assert world.store.erase([key(1), key(2), key(3), key(4)]) == 2
    for number, state in ((1, ReceiptState.SKIPPED), (3, ReceiptState.DONE)):
        stored = world.store.get(key(number))
        assert (stored.state, stored.body, stored.origin) == (State.DONE, None, Origin.ERASED)
        assert [(one.state, one.error) for one in world.store.receipts(key(number))] == [(state, None)]
        assert world.claim(number, token="again") == Claim(granted=False, owned=True, attempts=ANY)
        assert world.store.accept(arrival(number), 0.0).changed is False
        assert world.store.get(key(number)).body is None, "it isn't stored again"
    assert world.store.get(key(2)).state is State.RUNNING, "what runs is left alone"
    assert not world.store.replay(key(1))


def test_the_bodies_of_what_is_done_and_old_are_forgotten_alone(world):
    if not world.keeps_bodies:
        pytest.skip("a done delivery has no body here")
    world.done(1)
    world.claim(2)
    world.clock.now += 100
    world.done(3)
    assert world.store.drop_bodies("shop", 0.0, world.clock.now) == 1
    assert world.store.drop_bodies("shop", 0.0, world.clock.now) == 0
    bodies = [world.store.get(key(number)).body is None for number in (1, 2, 3)]
    assert bodies == [True, False, False]


def test_some_of_what_is_old_is_pruned_where_some_are_enough(world):
    for number in range(250):
        world.done(number)
    world.clock.now += 10
    assert 100 <= world.store.prune("shop", world.clock.now - 1, most=100) <= 250
    world.store.prune("shop", world.clock.now - 1)
    assert world.store.find("shop", Filter(), 9) == []
