"""What is counted for the inbox's charts, and what becomes of it when a store or a process is down."""

from __future__ import annotations

import math
import os
import threading
from types import SimpleNamespace

import pytest

from flask_whop import WhopWebhooks
from flask_whop.engine.activity import HOUR, Happening, Recorder, activity_in
from flask_whop.engine.installation import Installation
from flask_whop.errors import StoreUnavailable
from flask_whop.inbox import charts
from flask_whop.stores import Tally

NOW = 500_000 * HOUR + 100


def test_hours_come_in_order_and_those_without_anything_are_empty():
    tallies = {Tally(499_999, "happening", "done"): 3, Tally(500_000, "happening", "dead"): 1}
    activity = activity_in(tallies, NOW, 3)
    assert [hour.counts for hour in activity.hours] == [{}, {Happening.DONE: 3}, {Happening.DEAD: 1}]
    assert activity.hours[-1].begins == 500_000 * HOUR
    assert activity.total(Happening.DONE) == 3


def test_what_another_release_counts_is_left_alone():
    tallies = {Tally(500_000, "happening", "paused"): 3, Tally(500_000, "weather", "rain"): 1}
    assert activity_in(tallies, NOW, 1).hours[0].counts == {}


@pytest.mark.parametrize("seconds", [0.0001, 0.004, 0.7, 12.0, 90_000.0])
def test_half_and_nineteen_twentieths_are_known_to_within_a_half_of_it(desk, seconds, monkeypatch):
    with desk.app.app_context():
        recorder = Recorder(Installation.of(desk.app))
        clock = Installation.of(desk.app).store.clock
        for took in [seconds] * 19 + [seconds * 20]:
            delivery = SimpleNamespace(id="msg_1", received_at=clock() - took)
            recorder._processed(desk.app, delivery=delivery, event=None)
        recorder.flush()
        activity = desk.whop.deliveries.activity()
    assert max(seconds, 0.001) <= activity.median <= max(1.6 * seconds, 0.01)
    assert activity.p95 <= 1.6 * seconds + 0.01


def test_there_are_no_times_before_anything_is_done(desk):
    with desk.app.app_context():
        assert desk.whop.deliveries.activity().median is None


def test_what_a_store_that_is_down_does_not_take_is_added_later(desk, monkeypatch):
    store = Installation.of(desk.app).store
    desk.deliver("msg_1")
    tally = store.tally

    def down(endpoint, counts):
        raise StoreUnavailable("It's down.")

    monkeypatch.setattr(store, "tally", down)
    recorder = desk.recorder
    recorder.flush()
    monkeypatch.setattr(store, "tally", tally)
    desk.deliver("msg_2")
    recorder.flush()
    with desk.app.app_context():
        assert desk.whop.deliveries.activity().total(Happening.DONE) == 2


def test_it_is_added_after_a_few_seconds_by_itself(desk, monkeypatch):
    monkeypatch.setattr("flask_whop.engine.activity._FLUSH_AFTER", 0.01)
    added, store = threading.Event(), Installation.of(desk.app).store
    tally = store.tally
    monkeypatch.setattr(store, "tally", lambda *about: (tally(*about), added.set()))
    desk.deliver("msg_1")
    assert added.wait(30)


def test_it_is_added_even_if_there_was_no_thread_for_it_once(desk, monkeypatch):
    def full(timer):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Timer, "start", full)
        assert desk.deliver("msg_1").status_code == 200
    monkeypatch.setattr("flask_whop.engine.activity._FLUSH_AFTER", 0.01)
    added, store = threading.Event(), Installation.of(desk.app).store
    tally = store.tally
    monkeypatch.setattr(store, "tally", lambda *about: (tally(*about), added.set()))
    desk.deliver("msg_2")
    assert added.wait(30)


def test_a_fork_counts_nothing_that_its_parent_has_counted(desk):
    desk.deliver("msg_1")
    child = os.fork()
    if child == 0:
        desk.recorder.flush()
        os._exit(0)
    os.waitpid(child, 0)
    desk.recorder.flush()
    with desk.app.app_context():
        assert desk.whop.deliveries.activity().total(Happening.DONE) == 1


def test_counts_are_pruned_with_the_deliveries(desk):
    store, endpoint = Installation.of(desk.app).store, "shop"
    store.tally(endpoint, {Tally(1, "happening", "done"): 1, Tally(int(store.clock() // HOUR), "happening", "done"): 1})
    with desk.app.app_context():
        desk.whop.deliveries.prune()
    assert [tally.hour > 1 for tally in store.tallies(endpoint, 0, "happening")] == [True]


def test_without_an_inbox_nothing_is_counted(app):
    whop = WhopWebhooks(app)
    with app.app_context():
        assert whop.deliveries.activity().total(Happening.DONE) == 0


def test_a_chart_has_a_bar_for_each_hour_or_each_few(desk):
    hours = activity_in(
        {Tally(500_000, "happening", "done"): 30, Tally(500_000, "happening", "dead"): 1}, NOW, 24
    ).hours
    chart = charts.bars(hours)
    assert len(chart.bars) == 24
    assert chart.top == 50
    assert math.isclose(sum(part.height for part in chart.bars[-1].parts), 124.0)
    assert len(charts.bars(activity_in({}, NOW, 168).hours).bars) == 28
