"""The simulator: Whop's schedule as its guide tells it, played in full against an app, inline."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask

from flask_whop import GiveUp, RetryLater, WhopWebhooks
from flask_whop.engine.installation import Installation
from flask_whop.errors import SetupError, UnknownEventError
from flask_whop.events import PaymentSucceeded
from flask_whop.signals import delivery_received, payment_succeeded
from flask_whop.stores import Key, State
from flask_whop.testing import RETRY_DELAYS, FakeClock, Fate, Kind, WhopSimulator, WhopTestClient
from tests.shop import new_app

HOUR = timedelta(hours=1)


def set_up(**config):
    app = new_app(TESTING=True, **config)
    WhopWebhooks(app)
    return app


@pytest.fixture
def simulator(app, whop):
    return WhopSimulator(app)


def fates(report):
    return {fate: len(report.which(fate)) for fate in Fate if report.which(fate)}


# The schedule.


def test_whop_retries_twelve_times_in_71_hours():
    assert len(RETRY_DELAYS) == 12
    assert round(sum(RETRY_DELAYS, timedelta()) / HOUR) == 71


def test_the_retries_come_when_whop_sends_them_with_the_same_id_and_a_new_signature(app, simulator):
    sent = []
    delivery_received.connect(lambda app, delivery: sent.append((delivery.id, delivery.timestamp)))
    simulator.receiver("payment.succeeded", failing_for=100 * HOUR)
    began = simulator.clock()
    [event_id] = simulator.happens("payment.succeeded")
    [event] = simulator.run().events

    hours = [round(attempt.at / HOUR, 3) for attempt in event.attempts]
    assert hours == [0, 0.008, 0.042, 0.175, 0.675, 1.675, 4.675, 10.675, 22.675, 34.675, 46.675, 58.675, 70.675]
    assert [attempt.kind for attempt in event.attempts] == [Kind.FIRST, *[Kind.RETRY] * 12]
    assert sent == [(event_id, began + attempt.at.total_seconds()) for attempt in event.attempts]
    assert {attempt.status_code for attempt in event.attempts} == {500}
    assert {attempt.status for attempt in event.attempts} == {"failed"}


# A receiver that fails for 5, 30 and 80 hours, inline: Whop owns the retry.


@pytest.mark.parametrize(("hours", "retries"), [(0, 0), (5, 7), (30, 9), (70, 12)])
def test_a_single_event_outlasts_an_outage_of_up_to_70_hours(simulator, hours, retries):
    fulfil = simulator.receiver("payment.succeeded", failing_for=hours * HOUR)
    [event_id] = simulator.happens("payment.succeeded")
    report = simulator.run()
    [event] = report.arrived
    assert (event.retries, event.arrived_at) == (retries, sum(RETRY_DELAYS[:retries], timedelta()))
    assert fulfil.effects == [event_id]
    assert len(fulfil.failures) == retries
    assert report.disabled_at is None


def test_a_single_event_is_lost_in_an_outage_of_80_hours(simulator):
    fulfil = simulator.receiver("payment.succeeded", failing_for=80 * HOUR)
    simulator.happens("payment.succeeded")
    report = simulator.run(90 * HOUR)
    assert fates(report) == {Fate.GIVEN_UP: 1}
    assert (report.retries, fulfil.effects) == (12, [])
    assert (report.warned_at, report.disabled_at) == (24 * HOUR, 72 * HOUR)


@pytest.mark.parametrize(
    ("hours", "warned_at", "slowest"), [(5, None, 10.675), (23, None, 34.675), (30, 24 * HOUR, 34.675)]
)
def test_of_a_hundred_hourly_events_none_is_lost_in_an_outage_of_up_to_30_hours(simulator, hours, warned_at, slowest):
    fulfil = simulator.receiver("payment.succeeded", failing_for=hours * HOUR)
    ids = simulator.happens("payment.succeeded", times=100, every=HOUR)
    report = simulator.run()
    assert fates(report) == {Fate.ARRIVED: 100}
    assert sorted(fulfil.effects) == sorted(ids)
    assert fulfil.doubled == ()
    assert (report.warned_at, report.disabled_at) == (warned_at, None)
    delays = [(event.arrived_at - event.happened_at) / HOUR for event in report.events]
    assert max(delays) == pytest.approx(slowest)
    assert delays[hours:] == [0] * (100 - hours)


def test_an_outage_of_80_hours_disables_the_webhook_and_all_that_happened_in_it_and_after_is_lost(simulator):
    fulfil = simulator.receiver("payment.succeeded", failing_for=80 * HOUR)
    simulator.happens("payment.succeeded", times=100, every=HOUR)
    report = simulator.run()
    assert fates(report) == {Fate.GIVEN_UP: 2, Fate.DROPPED: 70, Fate.NEVER_SENT: 28}
    assert len(report.lost) == 100
    assert (report.warned_at, report.disabled_at) == (24 * HOUR, 72 * HOUR)
    assert fulfil.effects == []
    assert max(attempt.at for event in report.events for attempt in event.attempts) < 72 * HOUR


def test_one_receivers_outage_costs_the_others_nothing(simulator):
    books = simulator.receiver(PaymentSucceeded, name="books")
    mail = simulator.receiver("payment.*", name="mail", failing_for=30 * HOUR)
    ids = simulator.happens(PaymentSucceeded, times=40, every=HOUR)
    simulator.run()
    assert books.effects == ids
    assert sorted(mail.effects) == sorted(ids)
    assert (books.failures, books.doubled, mail.doubled) == ([], (), ())


def test_nine_failures_in_72_hours_do_not_disable_the_webhook(simulator):
    simulator.receiver("refund.created", fails=lambda event, passed: passed < 31 * HOUR)
    simulator.happens("refund.created")
    simulator.happens("refund.created", after=80 * HOUR)
    report = simulator.run()
    assert fates(report) == {Fate.ARRIVED: 2}
    assert report.disabled_at is None


def test_a_success_between_failures_starts_the_time_anew(simulator):
    simulator.receiver("payment.succeeded", failing_for=100 * HOUR)
    simulator.happens("payment.succeeded", times=90, every=HOUR)
    simulator.happens("payment.failed", times=5, every=20 * HOUR)
    report = simulator.run(100 * HOUR)
    assert (report.warned_at, report.disabled_at) == (None, None)
    assert report.which(Fate.GIVEN_UP)


# What Whop does besides.


def test_duplicates_have_one_effect(simulator):
    simulator = WhopSimulator(simulator.app, duplicates=1)
    fulfil = simulator.receiver("payment.succeeded", failing_times=1)
    ids = simulator.happens("payment.succeeded", times=20)
    report = simulator.run()
    assert [attempt.kind for attempt in report.events[0].attempts].count(Kind.DUPLICATE) == 1
    assert sorted(fulfil.effects) == sorted(ids)
    assert len(report.arrived) == 20


def test_disorder_lets_events_overtake_each_other_the_same_way_each_time():
    orders = []
    for seed in (1, 1, 2):
        simulator = WhopSimulator(set_up(), disorder=HOUR, duplicates=0.5, seed=seed)
        fulfil = simulator.receiver("payment.succeeded")
        ids = simulator.happens("payment.succeeded", times=30, every=60)
        report = simulator.run()
        orders.append(([ids.index(event_id) for event_id in fulfil.effects], str(report)))
        assert [event.id for event in report.arrived] == fulfil.effects
        assert fulfil.effects != ids
        assert sorted(fulfil.effects) == sorted(ids)
    assert orders[0] == orders[1] != orders[2]


def test_an_answer_after_five_seconds_comes_too_late_and_the_work_is_not_done_twice(simulator):
    fulfil = simulator.receiver("payment.succeeded", takes=8)
    simulator.happens("payment.succeeded")
    [event] = simulator.run().arrived
    assert [(attempt.status, attempt.ok) for attempt in event.attempts] == [("processed", False), ("duplicate", True)]
    assert len(fulfil.effects) == 1


@pytest.mark.parametrize(("error", "answer", "retries"), [(RetryLater, "retry_later", 2), (GiveUp, "processed", 0)])
def test_a_script_may_raise_what_receivers_say(simulator, error, answer, retries):
    simulator.receiver("payment.succeeded", failing_times=2, error=error)
    simulator.happens("payment.succeeded")
    [event] = simulator.run().arrived
    assert (event.attempts[0].status, event.retries) == (answer, retries)


def test_the_apps_own_receivers_are_called_and_scripted_ones_only_while_it_runs(simulator):
    own = []
    payment_succeeded.connect(lambda app, event: own.append(event.id))
    scripted = simulator.receiver()
    [event_id] = simulator.happens("payment.succeeded")
    simulator.run()
    with WhopTestClient(simulator.app) as kit:
        kit.deliver("payment.succeeded")
    assert (len(own), scripted.effects) == (2, [event_id])


def test_events_carry_what_the_test_gives_them_and_the_time_when_they_happen(simulator):
    events = []
    payment_succeeded.connect(lambda app, event: events.append(event))
    began = simulator.clock.now()
    simulator.happens("payment.succeeded", pin="2026-10-15-1", data={"user_id": "user_ada"}, after=HOUR)
    simulator.run()
    [event] = events
    assert (event.data.user_id, event.api_version_date, event.timestamp) == ("user_ada", "2026-10-15-1", began + HOUR)


# Running.


def test_a_run_may_end_early_and_go_on(simulator):
    simulator.receiver("payment.succeeded", failing_for=5 * HOUR)
    simulator.happens("payment.succeeded")
    first = simulator.run(HOUR)
    assert (first.lasted, fates(first), first.retries) == (HOUR, {Fate.PENDING: 1}, 4)
    assert first.lost == ()
    second = simulator.run()
    assert (fates(second), second.retries) == ({Fate.ARRIVED: 1}, 7)


def test_between_is_called_after_deliveries_and_as_time_goes_on_for_a_worker_to_run_what_is_due(app, whop):
    moments = []
    simulator = WhopSimulator(app, between=lambda clock: moments.append(clock()), step=600)
    began = simulator.clock()
    simulator.receiver("payment.succeeded", failing_times=1)
    simulator.happens("payment.succeeded")
    simulator.run(HOUR)
    assert [moment - began for moment in moments] == [0, 30, 30, 630, 1230, 1830, 2430, 3030, 3600]


def test_in_a_test_of_the_kits_the_simulator_goes_by_its_clock(app, whop):
    with WhopTestClient(app) as kit:
        kit.clock.advance(timedelta(days=9))
        simulator = WhopSimulator(app)
        assert simulator.clock is kit.clock
        simulator.happens("payment.succeeded")
        assert fates(simulator.run(HOUR)) == {Fate.ARRIVED: 1}
        assert kit.deliver("payment.failed").ok
        kit.assert_received("payment.*", times=2)


def test_a_clock_can_be_given(app, whop):
    clock = FakeClock(1_000_000_000)
    simulator = WhopSimulator(app, clock=clock)
    simulator.happens("payment.succeeded")
    assert fates(simulator.run(HOUR)) == {Fate.ARRIVED: 1}
    assert clock() == 1_000_003_600


def test_slips_are_refused(simulator):
    with pytest.raises(UnknownEventError):
        simulator.happens("payment.suceeded")
    with pytest.raises(UnknownEventError):
        simulator.receiver("payment.suceeded")
    with pytest.raises(SetupError):
        WhopSimulator(Flask("bare"))


# The report.


def test_the_report_reads_well(simulator):
    simulator = WhopSimulator(simulator.app, duplicates=1)
    simulator.receiver("payment.*", name="fulfil", failing_for=30 * HOUR)
    simulator.happens("payment.succeeded", times=2, every=HOUR)
    assert str(simulator.run()) == (
        "35 h 40 min simulated: 2 events, 22 deliveries, 18 of them retries and 2 duplicates\n"
        "  arrived     2, the slowest after 34 h 40 min and 9 of 12 retries\n"
        "  webhook     warned of after 24 h\n"
        "  receiver    fulfil: 2 effects, 20 failures"
    )


def test_the_report_names_what_was_lost(simulator):
    fulfil = simulator.receiver("payment.succeeded", name="fulfil", failing_for=80 * HOUR)
    ids = simulator.happens("payment.succeeded", times=100)
    assert str(simulator.run()) == (
        "99 h simulated: 100 events, 691 deliveries, 619 of them retries and 0 duplicates\n"
        "  arrived     0\n"
        f"  given up    2: {ids[0]} (payment.succeeded), {ids[1]} (payment.succeeded)\n"
        f"  dropped     70: {', '.join(f'{one} (payment.succeeded)' for one in ids[2:5])}, …\n"
        f"  never sent  28: {', '.join(f'{one} (payment.succeeded)' for one in ids[72:75])}, …\n"
        "  webhook     warned of after 24 h, disabled after 72 h\n"
        "  receiver    fulfil: 0 effects, 691 failures"
    )
    assert repr(fulfil) == "<ScriptedReceiver fulfil: 0 effects, 691 failures>"


def test_the_report_counts_what_took_effect_twice(simulator):
    fulfil = simulator.receiver("payment.succeeded", name="fulfil")
    [event_id] = simulator.happens("payment.succeeded")
    simulator.run(30)
    fulfil.effects.append(event_id)  # as a receiver without a receipt would
    report = str(simulator.run())
    assert report.startswith("30 s simulated: 1 event, 1 delivery, 0 of them retries")
    assert report.endswith("fulfil: 2 effects, 1 event twice or more, 0 failures")


def test_the_report_writes_short_times_too(simulator):
    simulator.receiver("payment.succeeded", failing_times=2)
    simulator.happens("payment.succeeded")
    assert "the slowest after 2 min 30 s and 2 of 12 retries" in str(simulator.run())
    assert str(simulator.run(90)).startswith("4 min simulated")


def test_scripted_failures_are_logged_in_a_line_each(simulator, caplog):
    simulator.receiver("payment.succeeded", failing_times=1)
    simulator.happens("payment.succeeded")
    simulator.run()
    assert "failed with payment.succeeded" in caplog.text
    assert "Traceback" not in caplog.text


# The same outages where the app owns the retry: Whop sees nothing of them.


@pytest.mark.parametrize("dispatch", ["worker", "after_response"])
@pytest.mark.parametrize(("hours", "arrives"), [(5, True), (23, True), (30, False), (80, False)])
def test_an_app_that_owns_its_retries_goes_on_for_a_day_and_keeps_the_rest_as_dead_letters(dispatch, hours, arrives):
    app = set_up(WHOP_DISPATCH=dispatch)
    simulator = WhopSimulator(app)
    receiver = simulator.receiver("payment.succeeded", name="fulfil", failing_for=hours * HOUR)
    [event_id] = simulator.happens("payment.succeeded")
    report = simulator.run(4 * 24 * HOUR)

    assert (report.warned_at, report.disabled_at) == (None, None)
    assert [attempt.status for attempt in report.events[0].attempts] == ["accepted"]
    assert receiver.effects == ([event_id] if arrives else [])
    store = Installation.of(app).store
    assert store.get(Key("shop", event_id)).state is (State.DONE if arrives else State.DEAD)

    # What is dead is not lost: replayed, it arrives once.
    if not arrives:
        assert store.replay(Key("shop", event_id))
        simulator.run(HOUR)
        assert receiver.effects == [event_id]


def test_an_outage_longer_than_whops_patience_loses_nothing_that_is_ours():
    app = set_up(WHOP_DISPATCH="worker", WHOP_RETRY_FOR=5 * 86_400)
    simulator = WhopSimulator(app, duplicates=0.2, disorder=timedelta(minutes=10))
    receiver = simulator.receiver("payment.succeeded", name="fulfil", failing_for=80 * HOUR)
    payments = simulator.happens("payment.succeeded", times=100, every=HOUR)
    report = simulator.run(6 * 24 * HOUR)
    assert report.disabled_at is None
    assert sorted(receiver.effects) == sorted(payments)
