"""Times, ids and users that come in other forms than usual are what they say, or stay what they were."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest
from flask import Flask

from flask_whop import WhopWebhooks
from flask_whop.events import PaymentSucceeded, parse_event
from flask_whop.testing import signed
from tests.shop import PATH, SECRET, new_app
from tests.stores import STORES, opened

if TYPE_CHECKING:
    from pathlib import Path

    from flask_whop.events import Payment


def payment(**data: object) -> PaymentSucceeded:
    timestamp = "2026-11-02T10:00:00Z"
    body = {"type": "payment.succeeded", "id": "msg_1", "timestamp": timestamp, "data": {"id": "pay_1", **data}}
    event = parse_event(json.dumps(body).encode())
    assert isinstance(event, PaymentSucceeded)
    return event


AMBIGUOUS = [
    pytest.param(20_000_000_001, id="the first second that pydantic takes for a millisecond"),
    pytest.param(253_402_300_799, id="the end of the year 9999"),
    pytest.param(253_402_300_799.0, id="the end of the year 9999 with a point"),
    pytest.param("253402300799", id="the end of the year 9999 as text"),
    pytest.param(-25_000_000_000, id="a time before 1970 by the same digits"),
    pytest.param("20261102", id="a date of digits alone"),
    pytest.param("20261102100000", id="a date and a time of digits alone"),
    pytest.param("2026", id="a year"),
    pytest.param(True, id="true"),
    pytest.param("2026-11-02T10:00:00", id="no zone"),
]


@pytest.mark.parametrize("came", AMBIGUOUS)
def test_a_time_that_could_be_another_one_stays_as_it_came_and_is_drift(came: object) -> None:
    event = payment(paid_at=came, member={"id": "mber_1", "last_accessed_at": came})
    assert (event.data.paid_at, type(event.data.paid_at)) == (came, type(came))
    assert event.data.member is not None
    assert event.data.member.last_accessed_at == came
    assert event.drift == ("data.member.last_accessed_at", "data.paid_at")


@pytest.mark.parametrize("came", AMBIGUOUS)
def test_neither_an_event_nor_its_resource_has_such_a_time(came: object) -> None:
    body = {"id": "msg_1", "type": "payment.succeeded", "timestamp": came, "data": {"id": "pay_1", "updated_at": came}}
    event = parse_event(json.dumps(body).encode())
    assert (event.timestamp, event.updated_at, event.order) == (None, None, None)
    assert "timestamp" in event.drift


UNAMBIGUOUS = [
    (0, datetime(1970, 1, 1, tzinfo=timezone.utc)),
    (1_793_613_600, datetime(2026, 11, 2, 10, tzinfo=timezone.utc)),
    ("1793613600", datetime(2026, 11, 2, 10, tzinfo=timezone.utc)),
    (1_793_613_600_000, datetime(2026, 11, 2, 10, tzinfo=timezone.utc)),
    (20_000_000_000, datetime(2603, 10, 11, 11, 33, 20, tzinfo=timezone.utc)),
    ("2026-11-02T10:00:00Z", datetime(2026, 11, 2, 10, tzinfo=timezone.utc)),
    ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc)),
]


@pytest.mark.parametrize(("came", "meant"), UNAMBIGUOUS)
def test_a_time_that_can_be_only_one_is_read_as_that(came: object, meant: datetime) -> None:
    event = payment(paid_at=came)
    assert event.data.paid_at == meant
    assert event.drift == ()


@pytest.mark.parametrize(
    ("name", "named", "kind"),
    [
        ("user", "user_8Kx2", "user_id"),
        ("product", "prod_8Kx2", "product_id"),
        ("plan", "plan_8Kx2", "plan_id"),
        ("membership", "mem_8Kx2", "membership_id"),
        ("account", "biz_8Kx2", "account_id"),
        ("company", "biz_8Kx2", "account_id"),
        ("company", "biz_8Kx2", "company_id"),
    ],
)
def test_an_id_that_stands_where_an_object_is_expected_is_the_id_of_that_object(
    name: str, named: str, kind: str
) -> None:
    data: Payment = payment(**{name: named}).data
    assert getattr(data, kind) == named
    assert getattr(data, name).id == named
    assert payment(**{name: named}).drift == ()


def test_an_id_of_its_own_wins_over_the_one_that_stands_for_an_object() -> None:
    assert payment(user="user_1", user_id="user_2").data.user_id == "user_2"


@pytest.mark.parametrize("came", ["Mara Lindqvist", "", "user_", 7, ["user_1"]])
def test_what_is_no_id_stays_as_it_came_where_an_object_is_expected(came: object) -> None:
    event = payment(user=came)
    assert event.data.user == came
    assert event.data.user_id is None
    assert "data.user" in event.drift


ALIKE = [
    pytest.param("obj_1", "obj_1\0", id="NUL at the end"),
    pytest.param("obj_\0" + "a", "obj_\0" + "b", id="after a NUL"),
    pytest.param("obj_1", "obj_1 ", id="a blank at the end"),
    pytest.param("obj_1 ", "obj_1  ", id="one more blank"),
    pytest.param("obj_\ud800", "obj_\udc00", id="halves of surrogate pairs"),
    pytest.param("obj_\ud800", "obj_?", id="what a half is replaced by"),
    pytest.param("obj_\ud800", "obj_\\ud800", id="what a half is escaped as"),
    pytest.param("obj_a", "obj_A", id="upper case"),
    pytest.param("obj_e", "obj_é", id="an accent"),
    pytest.param("obj_é", "obj_e\u0301", id="an accent in two letters"),
    pytest.param("x" * 300 + "a", "x" * 300 + "b", id="after the end of a column"),
]


@pytest.mark.parametrize(("one", "other"), ALIKE)
@pytest.mark.parametrize("name", STORES)
def test_resources_whose_ids_are_hard_to_tell_apart_stay_two(name: str, one: str, other: str, tmp_path: Path) -> None:
    app = new_app(tmp_path)
    called: list[str] = []
    with opened(name, app) as store:
        whop = WhopWebhooks(app, store=store)

        @whop.on("product.updated", skip_stale=True)
        def shelve(app: Flask, event: object, **extra: object) -> None:
            called.append(event.id)  # type: ignore[attr-defined]

        for number, (resource, hour) in enumerate([(one, 12), (other, 10), (one, 11)]):
            body = {
                "id": f"msg_{number}",
                "type": "product.updated",
                "timestamp": f"2026-11-02T{hour}:00:00Z",
                "data": {"id": resource},
            }
            assert (
                app.test_client()
                .post(PATH, **signed(json.dumps(body).encode(), SECRET, delivery_id=f"msg_{number}"))
                .status_code
                == 200
            )
    assert called == ["msg_0", "msg_1"]
