"""A recording has nothing personal in it, whatever the delivery had, and says the same about everything else."""

from __future__ import annotations

import json
import re
from datetime import datetime

import pytest
from pydantic import BaseModel

from flask_whop.errors import CheckFailed, Rejected
from flask_whop.events import EVENT_TYPES, Money, event_class, parse_event
from flask_whop.events.fields import model_in
from flask_whop.events.recordings import HARMLESS_NUMBERS, record
from flask_whop.testing import sample
from tests.events.recorded import KEY, MARKER, PIN, leaks, leaves, recorded

# Nothing personal survives.


@pytest.mark.parametrize("name", ["comet.sighted", MARKER, f"{MARKER}.created", f"x.{MARKER} y"])
def test_an_event_that_nobody_knows_is_recorded_without_its_values(name):
    told = recorded({"type": name, "data": {"id": "x_1", "title": MARKER, "inner": {MARKER: 1}}}).text
    assert not leaks(told)
    event = parse_event(told.encode())
    assert event.data.title.startswith("stand-in ")
    assert event.type == "comet.sighted" or name != "comet.sighted"


def test_a_body_of_the_legacy_format_becomes_one_of_todays():
    body = {"api_version": "v5", "action": "payment.succeeded", "data": {"id": "pay_1", "user_email": MARKER}}
    told = record(json.dumps(body | {"company": "biz_1"}).encode(), "legacy_1", KEY).text
    event = parse_event(told.encode())
    assert (event.type, event.api_version, event.account_id[:4]) == ("payment.succeeded", "v5", "biz_")
    assert not leaks(told)


def test_what_is_no_json_object_is_refused():
    with pytest.raises(Rejected):
        record(b"[]", "msg_1", KEY)


def test_what_is_nested_beyond_reason_is_recorded_or_refused():
    """How deep is too deep is Python's business, and differs from one version to the next."""
    deep = b'{"a":' * 480 + b'"' + MARKER.encode() + b'"' + b"}" * 480
    try:
        told = record(b'{"type": "payment.succeeded", "data": {"id": "pay_1", "new": %b}}' % deep, "msg_1", KEY).text
    except CheckFailed as refusal:
        told = str(refusal)
        assert "nested too deeply" in told
    assert not leaks(told)


# Everything else stays.


@pytest.mark.parametrize("pin", [None, "2026-08-01", PIN])
@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_the_event_is_the_same_but_for_what_was_personal(event_type, pin):
    body = sample(event_type, pin)
    before, after = parse_event(body), parse_event(recorded(body).text.encode())
    assert (type(after), after.drift, after.timestamp) == (type(before), (), before.timestamp)
    assert (after.api_version, after.api_version_date) == (before.api_version, before.api_version_date)
    assert same(before.data, after.data)
    # Where the names are the seller's own, they have stand-ins as well.
    own = {path for path, _ in leaves(after.raw) if any(str(step).startswith("key_") for step in path)}
    assert {path for path, _ in leaves(after.raw)} - own <= {path for path, _ in leaves(body)}
    assert len([*leaves(after.raw)]) == len([*leaves(body)])


def same(before, after):
    """Whether two payloads have the same amounts, times and flags; return how many there are, and at least one."""
    for name, value in vars(before).items():
        twin = getattr(after, name)
        if isinstance(value, (Money, datetime, bool)) or value is None:
            assert twin == value, name
        elif isinstance(value, BaseModel):
            same(value, twin)
        elif isinstance(value, tuple):
            assert len(twin) == len(value), name
            for one, other in zip(value, twin, strict=True):
                assert not isinstance(one, BaseModel) or same(one, other)
    return True


def test_statuses_and_other_documented_words_stay():
    event = parse_event(recorded(sample("payment.failed")).text.encode())
    assert (event.data.status, event.data.substatus, event.data.decline_code) == ("open", "failed", None)
    assert (event.data.billing_reason, event.data.currency) == ("subscription_cycle", "usd")
    event = parse_event(recorded(sample("identity_profile.needs_action")).text.encode())
    assert (event.data.status, event.data.profile_type) == ("pending", "individual")
    assert parse_event(recorded(sample("membership.deactivated")).text.encode()).data.status == "canceled"


def test_the_amounts_of_a_ledger_stay():
    before = sample("swap.completed", PIN, amount="-4990000000", currency={"code": "usd", "precision": "100000000"})
    assert str(parse_event(recorded(before).text.encode()).data.money) == "-49.90 USD"


def test_each_number_of_each_model_has_been_thought_of():
    """A new one is replaced, until it's on one of these lists."""
    told = {"exp_month", "exp_year", "latitude", "longitude", "x", "y", "radius", "risk_score", "impact_score", "day"}
    told |= {"points", "points_to_next", "maximum_age", "minimum_age", "position", "trading"}
    names, seen = set(), set()

    def walk(model):
        if model in seen or model is Money:
            return
        seen.add(model)
        for name, field in model.model_fields.items():
            inner = model_in(field.annotation)
            if inner is not None:
                walk(inner)
            elif re.search(r"\b(int|float)\b", str(field.annotation)):
                names.add(name)

    for event_type in EVENT_TYPES:
        walk(event_class(event_type).payload_class)
    assert names | {"decimals", "display_decimals"} == HARMLESS_NUMBERS | told


# Stand-ins.


def test_the_same_value_has_the_same_stand_in_in_every_recording_of_the_key_and_another_with_another():
    one = json.loads(recorded(sample("payment.succeeded")).text)["data"]
    two = json.loads(recorded(sample("membership.activated")).text)["data"]
    assert one["user"] == {**two["user"], "email": one["user"]["email"]}
    assert one["card_last4"] == one["payment_method"]["card"]["last4"]
    assert (
        one["user"]["email"]
        != json.loads(record(json.dumps(sample("payment.succeeded")).encode(), "", "b").text)["data"]["user"]["email"]
    )


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("ada@example.org", r"[a-z0-9]{14}@example\.com"),
        ("user_8Kx2", r"user_[1-9A-Za-z]{14}"),
        ("ada_1", r"id_[1-9A-Za-z]{14}"),
        ("https://ada.example/x?token=1", r"https://example\.com/[1-9A-Za-z]{14}"),
        ("1815-12-10", r"20\d\d-\d\d-\d\d"),
        ("1815-12-10T01:02:03Z", r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z"),
        ("4242", r"\d{4}"),
        ("51.5072", r"\d+\.\d\d"),
        ("+44 20 7946 0123", r"\+999\d{9}"),
        ("GB", "ZZ"),
        ("198.51.100.7", r"203\.0\.113\.\d+"),
        ("2001:db8:1::1", r"2001:db8::[0-9a-f]+"),
        ("Ada King", r"stand-in [1-9A-Za-z]{14}"),
        ("  ", ""),
        (1815, r"\d{1,4}"),
        (51.5072, r"0\.\d+"),
        (True, "False"),
        (None, "None"),
    ],
)
def test_a_stand_in_has_the_form_of_what_it_stands_for(value, form):
    told = json.loads(recorded({"type": "payment.succeeded", "data": {"id": "pay_1", "new_value": value}}).text)
    assert re.fullmatch(form, str(next(reversed(told["data"].values()))))


def test_what_is_replaced_because_nobody_knows_it_is_told():
    body = sample("payment.succeeded", status="sublimated")
    body["data"]["new"] = body["new"] = 1
    recording = recorded(body)
    assert set(recording.unknown) >= {"data.status", "data.new", "new"}
    assert recorded({"type": "payment.succeeded", "data": {"id": "pay_1", "status": "paid"}}).replaced == 1


def test_what_one_knows_to_be_harmless_is_kept():
    metadata = {"order": "A-7", "inner": {"size": "L", "colour": "red"}, "by": "Ada"}
    body = sample("payment.succeeded", metadata=metadata, disputes=[{"id": "dspt_1", "notes": "No evidence"}])
    keep = ["data.plan.id", "data.metadata.order", "data.metadata.inner.size", "data.disputes.0.notes", "company_id"]
    told = json.loads(recorded(body, keep=keep).text)
    data = told["data"]
    assert (data["plan"]["id"], told["company_id"]) == (body["data"]["plan"]["id"], body["company_id"])
    assert (data["metadata"]["order"], data["metadata"]["inner"]["size"]) == ("A-7", "L")
    assert (len(data["metadata"]), len(data["metadata"]["inner"])) == (3, 2)
    assert data["disputes"][0]["notes"] == body["data"]["disputes"][0]["notes"]
    assert not re.search("Ada|red|colour|by", json.dumps(data["metadata"]))
    body["data"]["comet"] = {"tail": "long", "coma": "Ada"}
    assert json.loads(recorded(body, keep=["data.comet.tail"]).text)["data"]["comet"]["tail"] == "long"
    whole = json.loads(recorded(body, keep=["data.metadata", "data.user"]).text)["data"]
    assert (whole["metadata"], whole["user"]) == (body["data"]["metadata"], body["data"]["user"])


def test_a_slip_in_what_to_keep_is_refused():
    with pytest.raises(CheckFailed, match=r"No field 'data.plan.ib' in this delivery; the nearest is 'data.plan.id'"):
        recorded(sample("payment.succeeded"), keep=["data.plan.ib"])
    with pytest.raises(CheckFailed, match=r"No field 'qqqq' in this delivery\.$"):
        recorded(sample("payment.succeeded"), keep=["qqqq"])


def test_it_is_readable_json_that_is_the_same_each_time():
    first, second = (recorded(sample("payment.succeeded")).text for _ in range(2))
    assert first == second
    assert first.startswith('{\n  "id": "msg_')
    assert first.endswith("}\n")
    assert first.isascii()
