"""Scenarios in the test kit, and events that are each about a resource of their own."""

from __future__ import annotations

from datetime import timedelta

import pytest

from flask_whop.errors import CheckFailed
from flask_whop.events.samples.scenarios import scenarios
from flask_whop.testing import FakeWhop, WhopSimulator, WhopTestClient, sample

PIN = "2026-10-15-1"


@pytest.fixture
def kit(app, whop):
    with WhopTestClient(app) as client:
        yield client


# Scenarios.


@pytest.mark.parametrize("pin", [None, PIN])
@pytest.mark.parametrize("name", scenarios())
def test_a_scenario_is_delivered_in_order_and_answered_event_by_event(kit, name, pin):
    answers = kit.play(name, pin=pin)
    assert answers == kit.answers
    assert all(answer.ok for answer in answers)
    times = [answer.event.timestamp for answer in answers]
    assert times == sorted(times)
    assert {answer.event.api_version_date for answer in answers} == {pin}
    assert len({answer.delivery_id for answer in answers}) == len(answers)


def test_receivers_see_one_person_buy_and_leave(kit, whop):
    members = {}

    @whop.on("membership.activated", name="let in")
    def let_in(app, event):
        members[event.data.user_id] = event.data.current_period_end

    @whop.on("membership.deactivated", name="let out")
    def let_out(app, event):
        assert members.pop(event.data.user_id) == event.timestamp

    kit.play("purchase")
    assert len(members) == 1
    kit.play("churn")
    assert len(members) == 1


def test_the_clock_goes_on_as_the_story_does(kit):
    began = kit.clock.now()
    answers = kit.play("refund")
    assert answers[0].event.timestamp == began
    assert kit.clock.now() == answers[-1].event.timestamp == began + timedelta(days=3)
    assert kit.play("purchase")[0].event.timestamp == began + timedelta(days=3)


def test_each_scenario_is_about_somebody_else_and_each_run_of_a_test_about_the_same(app, whop):
    runs = []
    for _ in range(2):
        with WhopTestClient(app) as kit:
            runs.append([kit.play("purchase")[0].event.data.user_id for _ in range(3)])
    assert len(set(runs[0])) == 3
    assert runs[0] == runs[1]


@pytest.mark.parametrize("pin", [None, PIN])
def test_what_it_is_about_can_be_said(kit, pin):
    about = {"user": {"id": "user_grace", "email": "grace@example.com"}, "plan": {"id": "plan_gold"}}
    answers = kit.play("refund", about=about, pin=pin)
    assert {answer.event.data.user_id for answer in answers if hasattr(answer.event.data, "user_id")} == {"user_grace"}
    [payment] = [answer.event.data for answer in answers if answer.event.type == "payment.succeeded"]
    assert payment.plan_id == "plan_gold"
    assert (payment.user.email or payment.customer_email) == "grace@example.com"
    assert answers[-1].event.data.payment.user.email == "grace@example.com"


def test_a_second_payment_stays_another_one(kit):
    answers = kit.play("renewal-failed", about={"payment": {"id": "pay_first"}})
    payments = [answer.event.data.id for answer in answers if answer.event.type.startswith("payment.")]
    assert payments[:2] == ["pay_first", "pay_first"]
    assert len(set(payments[2:])) == 1
    assert payments[2] != "pay_first"


def test_a_failing_receiver_ends_the_story_unless_it_is_expected(kit, whop):
    whop.on("payment.succeeded", name="broken")(lambda app, event: 1 / 0)
    with pytest.raises(CheckFailed, match="broken"):
        kit.play("purchase")
    assert len(kit.answers) == 2
    answers = kit.play("purchase", check=False)
    assert [answer.ok for answer in answers] == [True, False, True, True, True]


def test_a_scenario_or_a_field_that_doesnt_exist_is_refused_before_anything_is_delivered(kit):
    with pytest.raises(CheckFailed, match="renewal-failed"):
        kit.play("renewal")
    with pytest.raises(CheckFailed, match=r"user\.email"):
        kit.play("purchase", about={"user": {"mail": "x"}})
    assert kit.answers == []


# Whom events are about.


def test_events_of_one_type_are_each_about_another_customer_unless_it_is_told(kit):
    payments = [kit.deliver("payment.succeeded").event.data for _ in range(3)]
    for name in ("id", "user_id", "membership_id"):
        assert len({getattr(payment, name) for payment in payments}) == 3
    assert len({payment.user.email for payment in payments}) == 3
    assert {str(payment.total) for payment in payments} == {"49.00 USD"}
    told = [kit.deliver("payment.succeeded", data={"id": "pay_1"}).event.data.id for _ in range(2)]
    assert told == ["pay_1", "pay_1"]


def test_events_of_several_types_are_about_the_same_customer(kit):
    for _ in range(2):
        failed, paid, refund, activated, deactivated = (
            kit.deliver(kind).event.data
            for kind in (
                *("payment.failed", "payment.succeeded", "refund.created"),
                *("membership.activated", "membership.deactivated"),
            )
        )
        assert failed.id == paid.id == refund.payment.id
        assert paid.membership_id == activated.id == deactivated.id
        assert paid.user_id == activated.user_id


def test_the_first_customer_is_that_of_the_sample(kit):
    event = kit.deliver("payment.succeeded").event
    body = sample("payment.succeeded")
    assert event.data.id == body["data"]["id"]
    assert event.data.user.email == body["data"]["user"]["email"]


def test_an_event_after_a_scenario_is_about_its_customer(kit):
    kit.deliver("payment.succeeded")
    paid = next(answer.event.data for answer in kit.play("purchase") if answer.event.type == "payment.succeeded")
    assert paid.id not in {kit.deliver(kind).event.data.id for kind in ("payment.succeeded", "payment.failed")}
    assert kit.deliver("payment.failed").event.data.id == paid.id


def test_a_repeated_delivery_is_about_the_same_resource(kit):
    first = kit.deliver("payment.succeeded", id="msg_1")
    kit.deliver("payment.succeeded")
    again = kit.deliver("payment.succeeded", id="msg_1")
    assert again.event.data.id == first.event.data.id == kit.redeliver(first).event.data.id


def test_what_happens_in_a_test_happens_now(kit):
    kit.clock.advance(timedelta(days=400))
    data = kit.deliver("membership.activated").event.data
    assert data.created_at <= data.updated_at == kit.clock.now() < data.current_period_end


def test_what_happens_in_a_simulation_is_about_resources_of_their_own(app, whop):
    payments = []
    whop.on("payment.succeeded", name="collect")(lambda app, event: payments.append(event.data))
    simulator = WhopSimulator(app)
    simulator.happens("payment.succeeded", times=5, every=timedelta(hours=1))
    simulator.run()
    assert len({payment.id for payment in payments}) == 5
    paid = sorted(payment.paid_at for payment in payments)
    assert paid[-1] - paid[0] == timedelta(hours=4)


def test_what_the_fake_whop_sends_is_the_same_event_to_each_webhook_and_of_a_resource_of_its_own():
    with FakeWhop() as fake:
        hooks = [
            fake.webhook("http://127.0.0.1:9/", ["payment.succeeded"], api_version_date=pin) for pin in (None, PIN)
        ]
        for _ in range(2):
            fake.send("payment.succeeded", logged={"success": False})
        ids = [[row["request_body"]["data"]["id"] for row in hook.log] for hook in hooks]
        assert ids[0] == ids[1]
        assert len(set(ids[0])) == 2
