"""A body that is signed well, and is no event as Whop sends them, is told of once, with what it looks like."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from flask_whop import WhopWebhooks
from flask_whop.events import EVENT_TYPES
from tests.shop import Sender

if TYPE_CHECKING:
    from pathlib import Path

    from flask import Flask

    from flask_whop.events import AnyEvent

DATA = {"id": "pay_1", "email": "mara@example.com"}
SPELLINGS = ["payment_succeeded", "Payment.Succeeded", "PaymentSucceeded", "payment-succeeded", " payment.succeeded\n"]
ODD = [
    pytest.param({"data": DATA}, "no `type`", id="no type"),
    pytest.param(DATA, "no `type`", id="a payload without its envelope"),
    pytest.param({"type": None, "data": DATA}, "no `type`", id="null for a type"),
    pytest.param({"type": 7, "data": DATA}, "no `type`", id="a number for a type"),
    pytest.param({"type": "", "data": DATA}, "no `type`", id="an empty type"),
    pytest.param({"action": 7, "data": DATA}, "no `type`", id="an action that is none"),
    pytest.param({"action": "payment.succeeded", "data": DATA}, "legacy webhook's (v2 or v5)", id="v2"),
    pytest.param({"api_version": "v5", "action": "payment_x", "data": DATA}, "legacy webhook's (v2 or v5)", id="v5"),
    *(pytest.param({"type": spelling, "data": DATA}, "`payment.succeeded`", id=spelling) for spelling in SPELLINGS),
    pytest.param(
        {"type": "app_payment_succeeded", "data": DATA},
        "`app_payment.succeeded` or `app.payment_succeeded`",
        id="a type that could be either of two",
    ),
]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("dispatch", ["inline", "worker"])
@pytest.mark.parametrize("handled", [False, True])
@pytest.mark.parametrize(("body", "looks_like"), ODD)
def test_a_body_that_is_no_event_of_whops_is_told_of_once_with_what_it_looks_like(
    app: Flask,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    body: dict[str, object],
    looks_like: str,
    *,
    handled: bool,
    dispatch: str,
) -> None:
    app.config.update(WHOP_DISPATCH=dispatch, WHOP_STORE=f"sqlite:///{tmp_path}/whop.sqlite3")
    whop, sender = WhopWebhooks(app), Sender(app)
    if handled:

        @whop.on("*")
        def look(app: Flask, event: AnyEvent, **extra: object) -> None:
            pass

    for _ in range(3):
        assert sender.send(body).status_code == 200
    told = warnings(caplog)
    assert len(told) == 1
    assert looks_like in told[0]
    assert "\n" not in told[0]
    assert "mara@example.com" not in told[0]


def test_each_kind_of_odd_body_is_told_of(sender: Sender, caplog: pytest.LogCaptureFixture) -> None:
    for body in ({"data": DATA}, {"action": "x"}, {"type": "payment_succeeded"}, {"type": "payment_failed"}) * 2:
        assert sender.send(body).status_code == 200
    assert len(warnings(caplog)) == 4


@pytest.mark.parametrize("event_type", ["loyalty.points_earned", "*", "payment", "payment.succeeded_twice", "\u0130.."])
def test_a_type_that_is_merely_unknown_is_no_warning(
    sender: Sender, caplog: pytest.LogCaptureFixture, event_type: str
) -> None:
    assert sender.deliver(event_type).status_code == 200
    assert warnings(caplog) == []


def test_no_event_of_whops_own_is_a_warning(sender: Sender, caplog: pytest.LogCaptureFixture) -> None:
    for event_type in EVENT_TYPES:
        assert sender.deliver(event_type, action="old").status_code == 200
    assert [told for told in warnings(caplog) if "looks like" in told] == []
