"""Samples: whatever is tried with flask_whop tells a story in which everything agrees."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from functools import cache

import pytest
from pydantic import BaseModel

from flask_whop.errors import CheckFailed, UnknownEventError
from flask_whop.events import EVENT_TYPES, Money, parse_event
from flask_whop.events.samples import _shapes, fresh
from flask_whop.events.samples import made as make
from flask_whop.events.samples.facts import Scene, _occasions, _shop
from flask_whop.events.samples.scenarios import length_of, played, scenarios
from flask_whop.testing import sample

PIN = "2026-10-15-1"
NOW = datetime(2027, 3, 1, 8, 30, tzinfo=timezone.utc)
PREFIXES = _shop().prefixes

each_event = pytest.mark.parametrize("kind", EVENT_TYPES)
each_scenario = pytest.mark.parametrize("name", scenarios())


@cache
def made(kind):
    """The samples of an event in both shapes, and the same of another time and somebody else."""
    return [body for pin in (None, PIN) for body in (sample(kind, pin), fresh(kind, pin, "somebody else", NOW))]


def objects(value, path=()):
    """Yield each object in a body, the innermost last, and where it is."""
    if isinstance(value, dict):
        yield path, value
        for name, each in value.items():
            yield from objects(each, (*path, name))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from objects(each, (*path, number))


def leaves(body):
    for path, holder in objects(body):
        for name, value in holder.items():
            for each in value if isinstance(value, list) else [value]:
                if not isinstance(each, (dict, list)):
                    yield (*path, name), each


def time(value):
    return datetime.fromisoformat(value.replace("Z", "+00:00"))


def is_time(value):
    return isinstance(value, str) and len(value) == 24 and value.endswith("Z")


def amount(value):
    return Decimal(value["amount"] if isinstance(value, dict) else str(value))


# Every sample.


@each_event
def test_nothing_is_a_placeholder(kind):
    for body in made(kind):
        for (*_, name), value in leaves(body):
            # Whop's own words may be those of the field: a chat is in a channel, an account's object is an account.
            if not isinstance(value, str) or name in ("object", "type", "reason"):
                continue
            words = str(name).replace("_", " ")
            assert value.lower() not in (words, str(name), f"{words}s", words.removesuffix("s")), name
            assert value.strip(), name
            assert not {"string", "<string>", "lorem", "todo", "xxx", "example"} & set(value.lower().split()), name
            assert "{" not in value, name
            assert not value.startswith(("@", "^", "#")), name


PAST = [
    "paid_at",
    "updated_at",
    "joined_at",
    "canceled_at",
    "posted_at",
    "received_at",
    "last_payment_attempt",
    "last_payment_attempt_at",
    "evidence_submitted_at",
    "last_accessed_at",
    "failed_at",
    "succeeded_at",
    "disabled_at",
    "dispute_alerted_at",
]
FUTURE = [
    "next_payment_attempt",
    "next_payment_attempt_at",
    "needs_response_by",
    "evidence_due_at",
    "response_due_at",
    "resets_at",
    "settlement_time_at",
    "trial_end",
    "automatically_finalizes_at",
]


@each_event
def test_times_are_in_the_order_in_which_things_happen(kind):
    for body in made(kind):
        now = time(body["timestamp"])
        for path, holder in objects(body):
            times = {name: time(value) for name, value in holder.items() if is_time(value)}
            assert times.get("created_at", now) <= now, path
            for name in PAST:
                assert times.get("created_at", times.get(name, now)) <= times.get(name, now) <= now, (path, name)
            for name in FUTURE:
                assert times.get(name, now) >= now, (path, name)


@each_event
def test_a_period_starts_before_it_ends_and_is_not_over_unless_the_thing_is(kind):
    for body in made(kind):
        now = time(body["timestamp"])
        for path, holder in objects(body):
            for start, end in (
                ("current_period_start", "current_period_end"),
                ("renewal_period_start", "renewal_period_end"),
                ("starts_at", "ends_at"),
                ("created_at", "expires_at"),
                ("created_at", "due_date"),
            ):
                if is_time(holder.get(start)) and is_time(holder.get(end)):
                    assert time(holder[start]) < time(holder[end]), (path, end)
            over = holder.get("status") in ("canceled", "expired")
            for end in ("current_period_end", "renewal_period_end", "ends_at"):
                if is_time(holder.get(end)):
                    assert (time(holder[end]) > now) is not over, (path, end)


@each_event
def test_a_total_is_the_subtotal_and_the_tax(kind):
    for body in made(kind):
        for path, paid in objects(body):
            if {"subtotal", "tax_amount", "total"} <= paid.keys():
                assert amount(paid["subtotal"]) + amount(paid["tax_amount"]) == amount(paid["total"]), path
                assert amount(paid["total"]) == amount(paid["usd_total"])
                assert 0 < amount(paid.get("amount_after_fees", 1)) < amount(paid["total"])
                assert amount(paid.get("tax_refunded_amount") or 0) <= amount(paid["tax_amount"])
                assert amount(paid.get("refunded_amount") or 0) <= amount(paid["total"])


@each_event
def test_lines_add_up_to_the_subtotal(kind):
    for body in made(kind):
        for path, holder in objects(body):
            for line in holder.get("line_items") or []:
                if "unit_price" in line:
                    assert line["quantity"] * line["unit_price"] == line["total"], path
            if "subtotal" in holder and "line_items" in holder:
                lines = sum(amount(line["subtotal"]) for line in holder["line_items"])
                assert lines == amount(holder["subtotal"]), path


@pytest.mark.parametrize("kind", ["payout.created", "payout.updated", "payout.reversed"])
def test_a_payout_is_what_is_left_after_the_fees(kind):
    data = sample(kind, PIN)["data"]
    fees = Decimal(data["fee_amount"]) + Decimal(data["markup_fee"])
    assert Decimal(data["amount"]) - fees == Decimal(data["net_amount"])
    converted = Decimal(data["net_amount"]) * Decimal(str(data["exchange_rate"]))
    assert abs(converted - Decimal(data["destination_amount"])) < Decimal("0.01")


def test_a_balance_is_the_sum_of_its_parts():
    [balance] = sample("account.updated", PIN)["data"]["balances"]
    parts = balance["breakdown"]
    assert sum(Decimal(parts[name]) for name in ("available", "in_transit", "pending", "reserve")) == Decimal(
        balance["balance"]
    )
    assert sum(Decimal(each["amount"]) for each in parts["pending_settlements"]) == Decimal(parts["pending"])


@each_event
def test_a_refund_a_dispute_and_a_case_are_about_no_more_than_was_paid(kind):
    for body in made(kind):
        data = body["data"]
        paid = data.get("payment") if "amount" in data else None
        if isinstance(paid, dict) and "total" in paid:
            assert amount(data["amount"]) <= amount(paid["total"])
        if isinstance(paid, dict) and is_time(paid.get("paid_at")):
            assert time(paid["paid_at"]) <= time(data["created_at"])


@each_event
def test_ids_have_whops_prefixes_and_a_thing_has_the_same_one_everywhere(kind):
    for body in made(kind):
        ids = defaultdict(set)
        for (*path, name), value in leaves({"data": body["data"]}):
            if name in ("id", "user_ids") or str(name).endswith("_id"):
                if not isinstance(value, str) or value.isdigit():
                    continue
                prefix = value.rpartition("_")[0]
                assert prefix in PREFIXES.values(), (path, name, value)
                ids[thing_of(path, name, value, kind)].add(value)
        for thing, its in ids.items():
            assert len(its) == 1, (thing, its)
        account = body.get("account_id", body.get("company_id"))
        assert ids["account"] <= {account}


def thing_of(path, name, value, kind):
    """What the reader of a body takes an id to be of."""
    holder = next((step for step in reversed(path) if isinstance(step, str) and step != "data"), kind.split(".")[0])
    named = str(name).removesuffix("_id") if name != "id" else holder
    # Whom these are is told by where they are, and lists have several of a kind.
    if any(isinstance(step, int) for step in path) or name in ("user_ids", "resource_id") or OTHERS & {*path}:
        return (*path, name, value)
    return {"company": "account", "created_by_user": "owner"}.get(named, named)


OTHERS = {"message", "card", "origin"}


@each_event
def test_the_shop_is_always_the_same_and_the_person_is_not(kind):
    bodies = [json.dumps(each, ensure_ascii=False) for each in made(kind)]
    for body, other in (bodies[:2], bodies[2:]):
        assert "Ada King" not in other
        assert "ada@example.com" not in other
        for word in ("Kiln & Clay", "kiln-and-clay", "Studio Membership"):
            assert body.count(word) == other.count(word)


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_the_two_shapes_of_a_sample_are_the_same_event(kind):
    both = [parse_event(json.dumps(sample(kind, pin)).encode()) for pin in (None, PIN)]
    assert both[0].timestamp == both[1].timestamp
    assert both[0].account_id == both[1].account_id
    if not kind.startswith("identity_profile."):
        differences = dict(differing(both[0].data, both[1].data))
        assert not differences


def differing(older, newer, path=""):
    """Yield the fields that both shapes have, and that differ; words aren't compared that one of the shapes lacks."""
    for name in type(older).model_fields:
        one, other = getattr(older, name), getattr(newer, name)
        if one is None or other is None or one in ((), {}) or other in ((), {}):
            continue
        if isinstance(one, BaseModel) and isinstance(other, BaseModel) and not isinstance(one, Money):
            yield from differing(one, other, f"{path}{name}.")
        elif isinstance(one, tuple) and isinstance(one[0], BaseModel):
            yield from differing(one[0], other[0], f"{path}{name}.0.")
        elif one != other and not (isinstance(one, str) and words_differ(name, one, other)):
            yield f"{path}{name}", (one, other)


@cache
def vocabulary(name):
    """The words of a field of this name in each shape, in any class."""
    return [
        {word for fields in shape.values() if name in fields for word in fields[name][1]}
        for shape in (_shapes().unpinned, _shapes().pinned)
    ]


RENAMED = [{"alert_type", "type"}, {"issue", "reason"}]


def words_differ(name, one, other):
    names = next((names for names in RENAMED if name in names), {name})
    older, newer = (set().union(*(vocabulary(each)[shape] for each in names)) for shape in (0, 1))
    return one in older and other in newer and (one not in newer or other not in older)


def test_every_fact_about_the_shop_is_used():
    asked = set()
    for kind in EVENT_TYPES:
        for pin in (None, PIN):
            make(Scene(kind, asked=asked), pin)
    told = [_shop().things, *_occasions().events.values()]
    said = {(thing, name) for facts in told for thing in facts for name in facts[thing]}
    assert {pair for pair in said if pair[0] != "previous_attributes"} <= asked
    assert set(_shop().shared) <= {name for _, name in asked}
    assert {name for name in _occasions().events if not name.endswith(".*")} <= set(EVENT_TYPES)


# What an event says.


STATUSES = {
    "activated": {"active"},
    "approved": {"approved"},
    "canceled": {"canceled", "void"},
    "completed": {"completed", "succeeded"},
    "deactivated": {"canceled", "expired"},
    "declined": {"declined"},
    "denied": {"denied"},
    "failed": {"failed", "open"},
    "frozen": {"frozen"},
    "marked_uncollectible": {"uncollectible"},
    "membership_went_invalid": {"canceled", "expired"},
    "membership_went_valid": {"active"},
    "paid": {"paid"},
    "past_due": {"past_due"},
    "payment_failed": {"payment_failed", "open"},
    "payment_succeeded": {"paid"},
    "pending": {"pending"},
    "rejected": {"rejected"},
    "requires_action": {"requires_action", "open"},
    "reversed": {"reversed", "failed"},
    "succeeded": {"succeeded", "paid", "verified"},
    "trial_ending_soon": {"trialing"},
    "authorized": {"authorized"},
    "voided": {"void"},
    "went_invalid": {"canceled", "expired"},
    "went_valid": {"active"},
    "needs_action": {"pending"},
}


@each_event
def test_the_status_is_the_one_that_the_event_tells_of(kind):
    for body in made(kind):
        data = body["data"]
        if "status" not in data or kind.startswith(("account.", "product.")):
            continue
        expected = STATUSES.get(kind.rsplit(".", 1)[1])
        assert expected is None or data["status"] in expected
        words = _shapes().unpinned | _shapes().pinned
        assert any(data["status"] in fields["status"][1] for fields in words.values() if "status" in fields)


@pytest.mark.parametrize("pin", [None, PIN])
@pytest.mark.parametrize("kind", [kind for kind in EVENT_TYPES if "payment" in kind.split(".")[0]])
def test_only_a_paid_payment_has_been_paid_and_only_a_failed_one_says_why(kind, pin):
    data = sample(kind, pin)["data"]
    assert (data["paid_at"] is not None) is (data["status"] == "paid")
    assert (data["failure_message"] is not None) is (data["substatus"] == "failed")
    assert (data.get("decline_code", "x") is not None) is (data["substatus"] == "failed" or "decline_code" not in data)
    assert data["refundable"] is (data["status"] == "paid")


@pytest.mark.parametrize("pin", [None, PIN])
def test_what_was_verified_has_no_error_and_what_needs_action_says_why(pin):
    needing = sample("identity_profile.needs_action")["data"]["verifications"][0]
    approved = sample("identity_profile.approved")["data"]["verifications"][0]
    assert (needing["status"], needing["last_error_reason"]) == (
        "requires_input",
        "Document image was too blurry to read.",
    )
    assert (approved["status"], approved["last_error_reason"]) == ("verified", None)
    assert sample("verification.succeeded", pin)["data"]["last_error_reason"] is None


UPDATES = ["account", "ad", "ad_campaign", "membership", "plan", "product", "shipment"]


@pytest.mark.parametrize("family", UPDATES)
def test_an_update_names_what_changed_and_it_has_another_value_now(family):
    body = sample(f"{family}.updated", PIN)
    assert body["previous_attributes"]
    for name, old in body["previous_attributes"].items():
        assert name in body["data"]
        assert body["data"][name] != old


def test_no_other_sample_has_old_values():
    with_them = {kind for kind in EVENT_TYPES if "previous_attributes" in sample(kind)}
    assert with_them == {f"{family}.updated" for family in UPDATES}


# New resources.


@each_event
def test_equal_keys_repeat_a_sample_and_others_are_about_something_else(kind):
    for pin in (None, PIN):
        one, same, other = (fresh(kind, pin, key, NOW) for key in ("a", "a", "b"))
        assert one == same
        assert one["id"] != other["id"]
        ids = [id_of(body["data"]) for body in (one, other, sample(kind, pin))]
        # The shop has one account.
        assert len(set(ids)) == (1 if kind.startswith("account.") else 3)
        assert one.get("account_id", one.get("company_id")) == other.get("account_id", other.get("company_id"))


def id_of(data):
    return data["message"]["id"] if "message" in data else data.get("id")


def test_a_hundred_payments_are_of_different_people():
    payments = [fresh("payment.succeeded", None, str(number), NOW)["data"] for number in range(100)]
    for path in (("id",), ("user", "id"), ("user", "email"), ("user", "username"), ("membership", "id")):
        values = []
        for payment in payments:
            value = payment
            for step in path:
                value = value[step]
            values.append(value)
        assert len(set(values)) == 100, path
    assert len({payment["user"]["name"] for payment in payments}) == len(_shop().people)


# Scenarios.

BEGAN = datetime(2026, 11, 2, 10, tzinfo=timezone.utc)


@each_scenario
@pytest.mark.parametrize("pin", [None, PIN])
def test_a_scenario_is_one_story_about_the_same_things_in_which_time_goes_on(name, pin):
    told = played(name, pin, "x", BEGAN, {})
    assert told[0].after >= timedelta(0)
    assert [each.after for each in told] == sorted(each.after for each in told)
    assert told[-1].after == length_of(name)
    assert len({each.body["id"] for each in told}) == len(told)
    people, memberships, updated = set(), set(), defaultdict(list)
    for after, body in told:
        event = parse_event(json.dumps(body).encode())
        assert event.drift == ()
        assert event.timestamp == BEGAN + after
        people.add(getattr(event.data, "user_id", None))
        memberships.add(getattr(event.data, "membership_id", None))
        if event.type.startswith("membership."):
            memberships.add(event.data.id)
        updated[event.data.id].append(event.updated_at or event.timestamp)
        for path, value in leaves(body):
            if is_time(value) and path[-1] in ("created_at", "paid_at", "updated_at", "canceled_at"):
                assert time(value) <= event.timestamp, (event.type, path)
    assert len(people - {None}) <= 1
    assert len(memberships - {None}) <= 1
    for times in updated.values():
        assert times == sorted(times)


@each_scenario
@pytest.mark.parametrize("pin", [None, PIN])
def test_what_doesnt_change_in_a_scenario_stays_as_it_was(name, pin):
    """Each resource keeps the times at which it was made and paid."""
    first = {}
    for _, body in played(name, pin, "x", BEGAN, {}):
        for path, holder in objects(body["data"], (body["type"].split(".")[0],)):
            for field in ("created_at", "paid_at", "joined_at", "service_date"):
                if holder.get(field) and "id" in holder:
                    assert first.setdefault((holder["id"], field), holder[field]) == holder[field], (path, body["type"])


@each_scenario
def test_sums_and_old_values_agree_in_a_scenario(name):
    before = {}
    for _, body in played(name, PIN, "x", BEGAN, {}):
        data = body["data"]
        for field, old in body.get("previous_attributes", {}).items():
            assert data[field] != old, (body["type"], field)
        if "total" in data:
            assert amount(data["subtotal"]) + amount(data["tax_amount"]) == amount(data["total"])
        before[data["id"]] = data


def test_whop_delivers_an_activation_an_end_and_a_verdict_under_two_names():
    pairs = {
        "membership.activated": "membership.updated",
        "membership.deactivated": "membership.updated",
        "membership.cancel_at_period_end_changed": "membership.updated",
        "identity_profile.needs_action": "identity_profile.updated",
        "identity_profile.approved": "identity_profile.updated",
    }
    for name in scenarios():
        types = [body["type"] for _, body in played(name, None, "x", BEGAN, {})]
        for kind, beside in pairs.items():
            for place in (place for place, each in enumerate(types) if each == kind):
                assert types[place + 1] == beside, name


@pytest.mark.parametrize("pin", [None, PIN])
def test_what_a_scenario_is_about_can_be_said(pin):
    about = {"plan": {"id": "plan_gold"}, "user": {"name": "Joan Clarke"}, "payment": {"total": "12.50"}}
    for _, body in played("refund", pin, "x", BEGAN, about):
        data = parse_event(json.dumps(body).encode()).data
        if body["type"].startswith("payment."):
            assert (data.plan_id, data.user.name, str(data.total)) == ("plan_gold", "Joan Clarke", "12.50 USD")
        if body["type"].startswith("membership."):
            assert data.plan_id == "plan_gold"


@pytest.mark.parametrize("pin", [None, PIN])
def test_amounts_have_the_currency_that_is_said(pin):
    [_, (_, body), *_] = played("purchase", pin, "x", BEGAN, {"payment": {"currency": "eur", "total": 40}})
    data = parse_event(json.dumps(body).encode()).data
    assert (str(data.total), str(data.subtotal), str(data.usd_total)) == ("40.00 EUR", "40.83 EUR", "49.00 USD")


@pytest.mark.parametrize(
    ("about", "advice"),
    [
        ({"user": {"emial": "x"}}, "Did you mean user.email"),
        ({"usr": {"email": "x"}}, "Did you mean user.email"),
        ({"zzz": {"qqq": 1}}, "Nothing in the scenario 'purchase' has zzz.qqq."),
    ],
)
def test_what_is_said_of_nothing_in_a_scenario_is_refused(about, advice):
    with pytest.raises(CheckFailed, match=advice):
        played("purchase", None, "x", BEGAN, about)


def test_an_unknown_scenario_names_those_there_are():
    with pytest.raises(CheckFailed, match="purchase, trial, renewal-failed, refund, dispute, identity, churn"):
        played("purchse", None, "x", BEGAN, {})


def test_a_fresh_sample_of_no_event_is_refused():
    with pytest.raises(UnknownEventError, match=r"payment\.succeeded"):
        fresh("payment.suceeded", None, "x", NOW)
