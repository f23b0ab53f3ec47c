"""The test kit: real deliveries, a clock that is told to go on, readable checks, signals left as they were found."""

from __future__ import annotations

import gc
import time
from datetime import datetime, timedelta, timezone

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_whop import GiveUp, WhopWebhooks
from flask_whop.engine.installation import Installation
from flask_whop.errors import FlaskWhopError, Rejected, SetupError, UnknownEventError
from flask_whop.events import PaymentFailed, PaymentSucceeded, UnknownEvent
from flask_whop.signals import delivery_received, payment_failed, payment_succeeded, unknown_event
from flask_whop.stores import MemoryStore
from flask_whop.stores.sqlalchemy import SessionStore
from flask_whop.testing import CheckFailed, FakeClock, WhopTestClient, isolated_signals, sample, signed
from tests.shop import OTHER_SECRET, PATH, SECRET, new_app


@pytest.fixture
def kit(app, whop):
    with WhopTestClient(app) as client:
        yield client


@pytest.fixture
def seen(kit):
    """The events that a receiver got."""
    events = []
    payment_succeeded.connect(lambda app, event: events.append(event))
    return events


def set_up(**config):
    app = Flask("shop")
    app.config.update({"WHOP_WEBHOOK_SECRET": SECRET, **config})
    WhopWebhooks(app)
    return app


# Delivering.


def test_a_delivery_is_signed_and_goes_through_the_endpoint(kit, seen):
    requests = []
    delivery_received.connect(lambda app, delivery: requests.append(delivery))
    answer = kit.deliver("payment.succeeded")
    [delivery] = requests
    assert (answer.status_code, answer.status, answer.json) == (200, "processed", {"status": "processed"})
    assert (delivery.id, delivery.timestamp) == (answer.delivery_id, int(kit.clock()))
    assert answer.ok


def test_the_endpoint_and_the_secret_are_those_of_the_settings():
    app = set_up(WHOP_WEBHOOK_PATH="/hooks/in", WHOP_WEBHOOK_SECRET=[OTHER_SECRET, SECRET])
    indices = []
    with WhopTestClient(app) as kit:
        delivery_received.connect(lambda app, delivery: indices.append(delivery.secret_index))
        kit.deliver("payment.succeeded")
        kit.deliver("payment.succeeded", secret=SECRET)
    assert indices == [0, 1]


def test_each_delivery_has_an_id_of_its_own_unless_it_is_given_one(kit):
    ids = [kit.deliver("payment.succeeded").delivery_id for _ in range(3)]
    assert len(set(ids)) == 3
    answer = kit.deliver("payment.succeeded", id="msg_mine")
    assert (answer.delivery_id, answer.event.id) == ("msg_mine", "msg_mine")


def test_the_event_is_the_sample_with_what_the_test_replaces(kit, seen):
    kit.deliver(
        "membership.updated",
        pin="2026-10-15-1",
        data={"status": "canceled"},
        envelope={"account_id": "biz_7", "previous_attributes": {"status": "active"}},
    )
    [event] = kit.captured
    assert event.data.status == "canceled"
    assert event.data.id == sample("membership.updated", "2026-10-15-1")["data"]["id"]
    assert (event.account_id, event.api_version_date) == ("biz_7", "2026-10-15-1")
    assert event.changed("status")
    assert event.timestamp == kit.clock.now()


def test_an_event_can_be_given_by_its_class(kit, seen):
    assert isinstance(kit.deliver(PaymentSucceeded).event, PaymentSucceeded)


@pytest.mark.parametrize("slip", ["payment.suceeded", "payment.*", UnknownEvent])
def test_an_event_that_does_not_exist_is_refused(kit, slip):
    with pytest.raises(UnknownEventError):
        kit.deliver(slip)


def test_a_whole_body_can_be_sent_whatever_it_is(kit):
    unknown = kit.send({"id": "msg_comet", "type": "comet.sighted", "data": {}})
    assert (unknown.status, unknown.event.type) == ("unhandled", "comet.sighted")
    broken = kit.send(b"no json", id="msg_broken", check=False)
    assert (broken.status_code, broken.event.type, broken.delivery_id) == (400, "", "msg_broken")
    assert [event.id for event in kit.captured] == ["msg_comet"]


def test_a_redelivery_has_the_same_id_and_body_and_a_new_signature(kit, seen):
    requests = []
    delivery_received.connect(lambda app, delivery: requests.append(delivery))
    first = kit.deliver("payment.succeeded")
    kit.deliver("payment.failed")
    kit.clock.advance(3600)
    assert kit.redeliver(first).status == "duplicate"
    one, _, two = requests
    assert (two.id, two.body) == (one.id, one.body)
    assert two.timestamp == one.timestamp + 3600
    assert len(seen) == 1
    with pytest.raises(SetupError, match="deliver"), WhopTestClient(set_up()) as fresh:
        fresh.redeliver()


def test_an_app_without_the_extension_is_refused_with_advice():
    with pytest.raises(SetupError, match=r"WhopWebhooks\(app\)"):
        WhopTestClient(Flask("bare"))


# Answers.


def test_a_failing_receiver_fails_the_delivery_with_its_name_error_and_line(kit):
    @payment_succeeded.connect
    def fulfil(app, event):
        raise KeyError("plan_1")

    with pytest.raises(CheckFailed) as failed:
        kit.deliver("payment.succeeded", id="msg_1")
    told = str(failed.value)
    assert "payment.succeeded msg_1 was answered 500 failed." in told
    assert "fulfil raised KeyError('plan_1')" in told
    assert "test_client.py, line" in told
    assert "check=False" in told
    assert isinstance(failed.value.__cause__, KeyError)
    assert isinstance(failed.value, AssertionError)
    assert isinstance(failed.value, FlaskWhopError)


def test_a_receiver_that_gives_up_fails_the_delivery_although_it_is_answered_200(kit):
    @payment_succeeded.connect
    def fulfil(app, event):
        raise GiveUp("no such plan")

    with pytest.raises(CheckFailed, match="no such plan"):
        kit.deliver("payment.succeeded")
    answer = kit.deliver("payment.succeeded", check=False)
    assert (answer.status_code, answer.ok) == (200, False)


def test_a_failure_that_is_expected_is_returned(kit):
    payment_succeeded.connect(lambda app, event: 1 / 0)
    answer = kit.deliver("payment.succeeded", check=False)
    [failure] = answer.failures
    assert (answer.status_code, answer.status) == (500, "failed")
    assert isinstance(failure.error, ZeroDivisionError)
    assert failure.event is answer.event
    assert "raised ZeroDivisionError" in repr(answer)


def test_a_rejection_fails_the_delivery_with_its_reason_and_what_to_do(kit):
    with pytest.raises(CheckFailed, match=r"401 rejected(.|\n)*signature_mismatch: no configured secret") as failed:
        kit.deliver("payment.succeeded", secret=OTHER_SECRET)
    assert isinstance(failed.value.__cause__, Rejected)
    assert SECRET not in str(failed.value)
    assert OTHER_SECRET not in str(failed.value)


def test_a_hook_that_answers_in_the_endpoints_place_is_found_out(app, kit):
    @app.before_request
    def log_in():
        return "", 302, {"Location": "/login"}

    with pytest.raises(CheckFailed, match="before_request"):
        kit.deliver("payment.succeeded")


def test_an_answers_repr_tells_the_story_and_nothing_of_the_payload(kit, seen):
    answer = kit.deliver("payment.succeeded", id="msg_1", data={"user": {"id": "user_private"}})
    assert repr(answer) == "<Answer 200 processed to payment.succeeded msg_1>"
    assert "user_private" not in repr(kit.captured) + repr(kit)


def test_failures_of_a_delivery_inside_another_are_not_those_of_the_outer_one(kit):
    @payment_failed.connect
    def fails(app, event):
        raise RuntimeError

    payment_succeeded.connect(lambda app, event: kit.deliver("payment.failed", check=False) and None)
    assert kit.deliver("payment.succeeded").ok
    assert len(kit.failures) == 1


# What was captured.


def test_the_very_events_that_receivers_got_are_captured_in_order(kit, seen):
    for _ in range(3):
        kit.deliver("payment.succeeded")
    assert kit.captured == seen
    assert [answer.event for answer in kit.answers] == seen


def test_an_event_is_captured_once_however_often_it_is_delivered_and_fails(kit):
    payment_succeeded.connect(lambda app, event: 1 / 0)
    kit.deliver("payment.succeeded", check=False)
    kit.redeliver(check=False)
    assert len(kit.captured) == 1
    assert len(kit.failures) == 2


def test_what_others_post_to_the_app_is_captured_too(app, kit, seen):
    app.test_client().post(PATH, **signed(sample("payment.succeeded"), SECRET))
    assert kit.captured == seen


def test_what_was_rejected_is_not_captured():
    with WhopTestClient(set_up(WHOP_ACCOUNTS=["biz_ours"])) as kit:
        kit.deliver("payment.succeeded", envelope={"company_id": "biz_theirs"}, check=False)
        kit.deliver("payment.succeeded", secret=OTHER_SECRET, check=False)
        kit.deliver("payment.failed", envelope={"company_id": "biz_ours"})
        assert [event.type for event in kit.captured] == ["payment.failed"]
        assert [rejection.reason.value for rejection in kit.rejections] == ["foreign_account", "signature_mismatch"]


def test_what_other_apps_receive_is_not_captured(kit):
    with WhopTestClient(set_up()) as other:
        other.deliver("payment.succeeded")
    assert kit.captured == []


def test_what_was_captured_can_be_cleared(kit):
    payment_succeeded.connect(lambda app, event: 1 / 0)
    kit.deliver("payment.succeeded", check=False)
    kit.deliver("payment.failed", secret=OTHER_SECRET, check=False)
    kit.clear()
    assert (kit.captured, kit.failures, kit.rejections, kit.answers) == ([], [], [], [])
    kit.assert_not_received()


# Checks.


def test_a_check_returns_the_events_that_it_found(kit):
    kit.deliver("payment.succeeded", id="msg_1")
    kit.deliver("payment.failed", id="msg_2")
    assert [event.id for event in kit.assert_received(PaymentSucceeded, times=1)] == ["msg_1"]
    assert [event.id for event in kit.assert_received("payment.*", times=2)] == ["msg_1", "msg_2"]
    kit.assert_not_received("refund.*")
    kit.assert_not_received("payment.pending")
    kit.assert_nothing_failed()


def test_a_check_of_a_type_that_only_the_test_knows_finds_it(kit):
    kit.send({"id": "msg_comet", "type": "comet.sighted"})
    kit.assert_received("comet.sighted")


def test_a_check_that_fails_tells_what_was_received(kit):
    kit.deliver("payment.failed", id="msg_1")
    kit.deliver("payment.failed", secret=OTHER_SECRET, check=False)
    with pytest.raises(CheckFailed) as failed:
        kit.assert_received("payment.succeeded")
    assert str(failed.value) == (
        "payment.succeeded was not received.\n"
        "What was received:\n  payment.failed msg_1\n"
        "Rejected:\n  signature_mismatch"
    )
    with pytest.raises(CheckFailed, match="PaymentFailed should have been received twice, but was received once"):
        kit.assert_received(PaymentFailed, times=2)
    with pytest.raises(CheckFailed, match=r"payment.\* should not have been received, but was received once"):
        kit.assert_not_received("payment.*")


def test_a_long_list_is_cut(kit):
    for number in range(25):
        kit.deliver("payment.failed", id=f"msg_{number}")
    with pytest.raises(CheckFailed, match=r"msg_19\n  … and 5 more$"):
        kit.assert_received("payment.succeeded")


def test_a_slip_of_the_pen_does_not_let_a_check_pass(kit):
    with pytest.raises(UnknownEventError, match=r"Did you mean 'payment\.succeeded'"):
        kit.assert_not_received("payment.suceeded")


def test_a_failure_is_checked_by_error_and_receiver(kit):
    @payment_succeeded.connect
    def fulfil(app, event):
        raise KeyError("plan_1")

    kit.deliver("payment.succeeded", check=False)
    assert kit.assert_failed(LookupError, receiver="fulfil").error.args == ("plan_1",)
    assert kit.assert_failed() is kit.failures[0]
    with pytest.raises(CheckFailed, match=r"No receiver raised ValueError(.|\n)*fulfil raised KeyError"):
        kit.assert_failed(ValueError)
    with pytest.raises(CheckFailed, match=r"refund did not raise Exception"):
        kit.assert_failed(receiver="refund")
    with pytest.raises(CheckFailed, match=r"Something failed:\n(.|\n)*KeyError"):
        kit.assert_nothing_failed()


def test_a_check_of_failures_finds_rejections_too_and_says_when_there_was_nothing(kit):
    with pytest.raises(CheckFailed, match="What receivers raised: nothing"):
        kit.assert_failed()
    kit.deliver("payment.succeeded", secret=OTHER_SECRET, check=False)
    with pytest.raises(CheckFailed, match="rejected: signature_mismatch"):
        kit.assert_nothing_failed()


# The clock.


def test_the_clock_stands_still_until_it_is_told():
    clock = FakeClock(datetime(2026, 11, 2, tzinfo=timezone.utc))
    assert clock() == clock()
    clock.advance(90)
    clock.advance(timedelta(hours=1))
    assert clock.now() == datetime(2026, 11, 2, 1, 1, 30, tzinfo=timezone.utc)
    clock.set_to(datetime(2026, 11, 2))  # noqa: DTZ001  # taken as UTC
    assert clock.now().isoformat() == "2026-11-02T00:00:00+00:00"
    assert "2026-11-02" in repr(clock)
    with pytest.raises(ValueError, match="set_to"):
        clock.advance(-1)


def test_the_verifier_goes_by_the_clock(app, kit, seen):
    request = signed(sample("payment.succeeded"), SECRET, timestamp=int(kit.clock()))
    kit.clock.advance(301)
    assert app.test_client().post(PATH, **request).status_code == 401
    kit.clock.set_to(kit.clock() - 2)
    assert app.test_client().post(PATH, **request).status_code == 200


@pytest.mark.parametrize("year", [1999, 2040])
def test_the_clock_may_start_at_any_time(year, app, whop):
    with WhopTestClient(app, clock=FakeClock(datetime(year, 1, 1, tzinfo=timezone.utc))) as kit:
        assert kit.deliver("payment.succeeded").event.timestamp.year == year


@pytest.mark.parametrize("own_clock", [time.monotonic, time.time, lambda: 0.0])
def test_the_store_goes_by_the_clock_whatever_its_own_counts_from(own_clock):
    app = new_app()
    WhopWebhooks(app, store=MemoryStore(max_age=3600, clock=own_clock))
    with WhopTestClient(app) as kit:
        payment_succeeded.connect(lambda app, event: None)
        kit.deliver("payment.succeeded")
        kit.clock.advance(3600)
        assert kit.redeliver().status == "duplicate"
        kit.clock.advance(3601)
        assert kit.redeliver().status == "processed"


def test_the_app_gets_its_own_clock_back(app, whop):
    store = Installation.of(app).store
    for _ in range(2):
        with WhopTestClient(app) as kit:
            kit.clock.advance(timedelta(days=3))
            assert kit.deliver("payment.succeeded").status_code == 200
        assert store.clock is time.time
    assert app.test_client().post(PATH, **signed(sample("payment.succeeded"), SECRET)).status_code == 200


# Isolation.


def test_what_a_block_connects_is_disconnected_and_the_rest_is_left():
    seen = []
    payment_succeeded.connect(lambda app, event: seen.append("before"))
    app = set_up()
    with isolated_signals():
        payment_succeeded.connect(lambda app, event: seen.append("inside"), name="inside")
        unknown_event.connect(lambda app, event: seen.append("unknown"))
        app.extensions["whop"].on(PaymentSucceeded, name="tied")(lambda app, event: seen.append("tied"))
    with WhopTestClient(app) as kit:
        kit.deliver("payment.succeeded")
        kit.send({"id": "msg_comet", "type": "comet.sighted"})
    assert seen == ["before", "tied"]


def test_what_a_block_disconnects_is_connected_again_under_its_name():
    def fulfil(app, event):
        raise KeyError

    payment_succeeded.connect(fulfil, name="warehouse")
    with isolated_signals():
        payment_succeeded.disconnect(fulfil)
    with WhopTestClient(set_up()) as kit:
        kit.deliver("payment.succeeded", check=False)
        kit.assert_failed(KeyError, receiver="warehouse")


def test_what_is_tied_to_the_clients_app_is_isolated_too(app, whop):
    """An app may outlast a test, and so would its receivers."""
    kept, seen = [], []
    whop.on(PaymentSucceeded)(lambda app, event: kept.append(event))
    for _ in range(2):
        with WhopTestClient(app) as kit:

            @whop.on(PaymentSucceeded)
            def fulfil(app, event):
                seen.append(event)

            kit.deliver("payment.succeeded")
    assert len(seen) == 2
    assert len(kept) == 2


def test_a_receiver_that_is_held_weakly_stays_so():
    seen = []

    def fulfil(app, event):
        seen.append(event)

    payment_succeeded.connect(fulfil, weak=True)
    with isolated_signals():
        payment_succeeded.disconnect(fulfil)
    with WhopTestClient(set_up()) as kit:
        kit.deliver("payment.succeeded")
        del fulfil
        gc.collect()
        kit.deliver("payment.succeeded")
    assert len(seen) == 1


def test_signals_are_isolated_when_a_test_fails():
    def test():
        with WhopTestClient(set_up()):
            payment_succeeded.connect(lambda app, event: None)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        test()
    assert payment_succeeded.calls_for(None) == []


def test_work_runs_what_the_app_has_accepted(tmp_path):
    app = new_app(tmp_path, WHOP_DISPATCH="worker", TESTING=True)
    ran = []
    WhopWebhooks(app).on("payment.succeeded")(lambda app, event: ran.append(event.id))
    with WhopTestClient(app) as whop:
        answer = whop.deliver("payment.succeeded")
        assert (answer.status, ran) == ("accepted", [])
        [outcome] = whop.work()
        assert (outcome.status.value, ran) == ("processed", [answer.event.id])


def test_work_needs_no_context_of_the_app_where_the_store_is_its_session(tmp_path):
    shop = new_app(tmp_path, WHOP_DISPATCH="worker", SQLALCHEMY_DATABASE_URI="sqlite:///shop.sqlite3")
    db = SQLAlchemy(shop)
    ran = []
    WhopWebhooks(shop, store=SessionStore(db)).on("payment.succeeded")(lambda app, event: ran.append(event.id))
    with shop.app_context():
        db.create_all()
    with WhopTestClient(shop) as whop:
        answer = whop.deliver("payment.succeeded")
        whop.work()
        assert ran == [answer.event.id]
    with shop.app_context():
        db.engine.dispose()
