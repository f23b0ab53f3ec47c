"""What type checkers must accept of the test kit, and what they must refuse: an unused ignore is an error."""

from __future__ import annotations

from datetime import datetime, timedelta

from flask import Flask
from typing_extensions import assert_type

from flask_whop.events import AnyEvent, Payment, PaymentFailed, PaymentSucceeded, parse_event
from flask_whop.testing import (
    Answer,
    CheckFailed,
    EventStory,
    FakeClock,
    Fate,
    ReceiverFailure,
    ScriptedReceiver,
    SimulationReport,
    WhopSimulator,
    WhopTestClient,
    isolated_signals,
    recorded,
    sample,
)


def test_by_class(whop: WhopTestClient) -> None:
    answer = whop.deliver(PaymentSucceeded, data={"user": {"id": "user_1"}}, pin=None, id="msg_1", age=timedelta(1))
    assert_type(answer, Answer[PaymentSucceeded])
    assert_type(answer.event.data, Payment)
    assert_type(whop.redeliver(answer), Answer[PaymentSucceeded])
    assert_type(whop.assert_received(PaymentSucceeded, times=1), list[PaymentSucceeded])
    assert_type(answer.status, str | None)
    assert_type(answer.failures, tuple[ReceiverFailure, ...])


def test_by_name(whop: WhopTestClient) -> None:
    assert_type(whop.deliver("payment.succeeded", check=False), Answer[AnyEvent])
    assert_type(whop.deliver(recorded("refund.json"), data={"user.email": "a@b.c"}), Answer[AnyEvent])
    assert_type(parse_event(sample("payment.succeeded")), AnyEvent)
    assert_type(whop.send({"type": "comet.sighted"}), Answer[AnyEvent])
    assert_type(whop.assert_received("payment.*"), list[AnyEvent])
    assert_type(whop.assert_failed(KeyError, receiver="fulfil").error, Exception)
    assert_type(whop.captured, list[AnyEvent])
    assert_type(whop.clock, FakeClock)
    assert_type(whop.clock.now(), datetime)
    answers: list[Answer[AnyEvent]] = [whop.deliver(PaymentFailed), whop.redeliver()]
    print(answers)


def test_without_pytest(app: Flask) -> None:
    with isolated_signals(app), WhopTestClient(app, clock=FakeClock(0)) as whop:
        assert_type(whop, WhopTestClient)
    failure: AssertionError = CheckFailed("no")
    print(failure)


def test_simulated(app: Flask) -> None:
    simulator = WhopSimulator(app, between=lambda clock: clock.now(), disorder=timedelta(minutes=5))
    receiver = simulator.receiver(PaymentSucceeded, "refund.*", fails=lambda event, passed: passed < timedelta(1))
    assert_type(receiver, ScriptedReceiver)
    assert_type(receiver.effects, list[str])
    assert_type(simulator.happens(PaymentSucceeded, times=2, every=60), list[str])
    report = simulator.run(timedelta(hours=80))
    assert_type(report, SimulationReport)
    assert_type(report.lost, tuple[EventStory, ...])
    assert_type(report.which(Fate.PENDING)[0].arrived_at, timedelta | None)
    assert_type(report.disabled_at, timedelta | None)


def test_refused(whop: WhopTestClient, app: Flask) -> None:
    whop.deliver(PaymentSucceeded, dat={})  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    whop.deliver(Payment)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportCallIssue]
    whop.clock.advance("1 h")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    WhopSimulator(app).receiver(PaymentSucceeded, failing_for="1 h")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
