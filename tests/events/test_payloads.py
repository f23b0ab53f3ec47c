"""Payloads: one model per resource reads both of Whop's shapes, and answers the same from each."""

from __future__ import annotations

import json
import operator
import re
from datetime import datetime, timezone
from decimal import Context, Decimal
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from flask_whop import signals
from flask_whop.errors import CheckFailed, CurrencyMismatch, FlaskWhopError, UnknownEventError
from flask_whop.events import EVENT_TYPES, Money, event_class, parse_event
from flask_whop.events.samples import _shapes
from flask_whop.testing import sample
from tests import examples
from tests.shop import Sender, new_app

PIN = "2026-10-15-1"
UTC = timezone.utc
SHAPES = _shapes()
# One event for each payload class of Whop's: the events of a resource share them.
SHAPED = list(
    {
        (event_class(kind).payload_class, shape, model): (kind, shape)
        for kind, models in SHAPES.events.items()
        for shape, model in zip(("unpinned", "pinned"), models, strict=True)
        if model is not None
    }.values()
)


def parse(body):
    return parse_event(json.dumps(body).encode(), "msg_1")


# Every field of every payload, in either shape.

texts = st.text(st.characters(codec="utf-8"), max_size=8)
times = st.integers(1_577_836_800, 1_893_456_000).map(lambda at: datetime.fromtimestamp(at, UTC).isoformat())
amounts = st.decimals(-10_000, 10_000, places=2, allow_nan=False)
SCALARS = {
    "bool": st.booleans(),
    "int": st.integers(-(2**40), 2**40),
    "float": amounts.map(float),
    "datetime": times,
    "dict[str, Any]": st.dictionaries(texts, texts | st.integers(0, 9), max_size=2),
    "dict[str, str]": st.dictionaries(texts, texts, max_size=2),
}


def is_time(name):
    return name.endswith(("_at", "_period_end", "_period_start")) or name == "timestamp"


@cache
def payloads(shape, model):
    """Payloads of a class: each field there, missing or null, as Whop's may be."""
    fields = getattr(SHAPES, shape)[model]
    made = {name: st.none() | values(shape, kind, name) for name, (kind, _) in fields.items() if name != "id"}
    required = {"id": texts} if "id" in fields else {}
    return st.fixed_dictionaries(required, optional=made)


def values(shape, kind, name):  # noqa: PLR0911  # a list of kinds, one a line
    if kind.startswith("list["):
        return st.lists(values(shape, kind[5:-1], name), max_size=2)
    if found := re.fullmatch(r"dict\[str, (\w+)\]", kind):
        if found[1] in getattr(SHAPES, shape):
            return st.dictionaries(texts, payloads(shape, found[1]), max_size=2)
        return SCALARS[kind]
    if kind == "Money":
        return st.fixed_dictionaries(
            {"amount": amounts.map(str), "currency": texts, "decimals": st.just(2), "display_decimals": st.just(2)}
        )
    models = [one for one in kind.split(" | ") if one in getattr(SHAPES, shape)]
    if models:
        return st.deferred(lambda: st.one_of(*(payloads(shape, one) for one in models)))
    if kind == "str":
        return times if is_time(name) else amounts.map(str) if is_amount(name) else texts
    return SCALARS[kind]


def is_amount(name):
    return name in {
        *("amount", "fee_amount", "markup_fee", "net_amount", "destination_amount", "from_amount", "to_amount"),
        *("usd_amount", "local_amount", "cashback_usd", "total_usd", "value_usd", "balance", "available"),
        *("in_transit", "pending", "reserve", "price_usd"),
    }


def assert_reads_back(read, came, path):  # noqa: C901  # a list of kinds, one a branch
    """What was read says what came, in its own type."""
    if isinstance(came, dict) and isinstance(read, BaseModel):
        if isinstance(read, Money):
            assert (read.amount, read.currency) == (Decimal(came["amount"]), came["currency"]), path
            return
        for name, value in came.items():
            assert_reads_back(getattr(read, name), value, f"{path}.{name}")
    elif isinstance(came, dict):
        assert set(read) == set(came), path
        for name, value in came.items():
            assert_reads_back(read[name], value, f"{path}.{name}")
    elif isinstance(came, list):
        assert len(read) == len(came), path
        for index, value in enumerate(came):
            assert_reads_back(read[index], value, f"{path}.{index}")
    elif isinstance(read, Money):
        assert read.amount == Decimal(str(came)), path
    elif isinstance(read, Decimal):
        assert read == Decimal(came), path
    elif isinstance(read, datetime):
        assert read == datetime.fromisoformat(came), path
    elif came is not None:
        assert read == came, path


@pytest.mark.parametrize(("kind", "shape"), SHAPED)
def test_each_field_of_each_shape_is_read_back_as_it_came(kind, shape):
    model = getattr(SHAPES, shape)
    name = SHAPES.events[kind][("unpinned", "pinned").index(shape)]
    assert name in model

    @settings(max_examples=examples(15))
    @given(data=payloads(shape, name))
    def check(data):
        event = parse({"id": "msg_1", "type": kind, "timestamp": "2026-11-02T10:00:00Z", "data": data})
        assert_reads_back(event.data, data, "data")
        # Counts of whole things may come as fractions in such data: they are kept, and told.
        assert all(isinstance(_at(data, place.split(".")[1:]), float) for place in event.drift), event.drift

    check()


def _at(data, path):
    for step in path:
        data = data[int(step)] if isinstance(data, list) else data[step]
    return data


@pytest.mark.parametrize(("kind", "shape"), SHAPED)
def test_each_field_of_each_shape_is_declared(kind, shape):
    name = SHAPES.events[kind][("unpinned", "pinned").index(shape)]
    missing = list(undeclared(event_class(kind).payload_class, shape, name))
    assert missing == []


def undeclared(model, shape, name, seen=()):
    """The fields of Whop's class that a model of ours does not declare, also further down."""
    for field, (kind, _) in getattr(SHAPES, shape)[name].items():
        if field not in model.model_fields:
            yield f"{model.__name__}.{field}"
            continue
        inner = re.sub(r"(list|dict)\[(str, )?|\]", "", kind).split(" | ")[0]
        ours = inner_model(model.model_fields[field].annotation)
        if inner in getattr(SHAPES, shape) and inner != "Money" and ours is not None and inner not in seen:
            yield from undeclared(ours, shape, inner, (*seen, inner))


def inner_model(annotation):
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if found := inner_model(argument):
            return found
    return None


# The same answer from both shapes.


def pairs():
    """Each object with an id that Whop puts into a payload, with the id's own name."""
    found = set()
    for kind, shape in SHAPED:
        models = getattr(SHAPES, shape)
        model = SHAPES.events[kind][("unpinned", "pinned").index(shape)]
        for field, (inner, _) in models[model].items():
            if "id" in models.get(inner.split(" | ")[0], {}):
                found.add((event_class(kind).type, shape, field))
    first = {}
    for kind, shape, field in sorted(found):
        first.setdefault((event_class(kind).payload_class, shape, field), (kind, shape, field))
    return sorted(first.values())


@pytest.mark.parametrize(("kind", "shape", "field"), pairs())
def test_the_id_of_an_object_answers_beside_it(kind, shape, field):
    event = parse({"type": kind, "data": {"id": "x_1", field: {"id": f"{field}_7"}}})
    assert getattr(event.data, f"{field}_id") == f"{field}_7"
    event = parse({"type": kind, "data": {"id": "x_1", f"{field}_id": "bare_7"}})
    assert getattr(event.data, f"{field}_id") == "bare_7"
    event = parse({"type": kind, "data": {"id": "x_1", field: None}})
    assert getattr(event.data, f"{field}_id") is None


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("payment.succeeded", "user_id plan_id product_id member_id membership_id account_id company_id total"),
        ("membership.activated", "user_id plan_id product_id member_id account_id company_id status"),
        ("dispute.created", "plan_id product_id account_id company_id amount"),
        ("setup_intent.succeeded", "checkout_configuration_id member_id payment_method_id account_id company_id"),
    ],
)
def test_a_receiver_reads_the_same_from_both_shapes(kind, names):
    older, newer = (parse(sample(kind, pin)).data for pin in (None, PIN))
    for name in names.split():
        assert getattr(older, name) is not None, name
        assert getattr(older, name) == getattr(newer, name), name


@pytest.mark.parametrize(
    ("kind", "older", "newer"),
    [
        ("payment.failed", "last_payment_attempt", "last_payment_attempt_at"),
        ("payment.failed", "next_payment_attempt", "next_payment_attempt_at"),
        ("membership.activated", "renewal_period_start", "current_period_start"),
        ("membership.activated", "renewal_period_end", "current_period_end"),
        ("dispute.created", "needs_response_by", "evidence_due_at"),
        ("dispute_alert.created", "transaction_date", "transaction_at"),
        ("resolution_center_case.created", "due_date", "response_due_at"),
    ],
)
def test_a_renamed_time_answers_under_both_names(kind, older, newer):
    for came in (older, newer):
        data = parse({"type": kind, "data": {"id": "x_1", came: "2026-11-02T10:00:00Z"}}).data
        assert getattr(data, older) == getattr(data, newer) == datetime.fromisoformat("2026-11-02T10:00:00+00:00")


@pytest.mark.parametrize(
    ("kind", "older", "newer", "value"),
    [
        ("dispute_alert.created", "alert_type", "type", "fraud"),
        ("dispute_alert.created", "charge_for_alert", "fee_charged", False),
        ("dispute.created", "editable", "evidence_editable", True),
        ("resolution_center_case.created", "issue", "reason", "forgot_to_cancel"),
        ("payout_method.created", "currency", "destination_currency", "eur"),
        ("payment.succeeded", "company_id", "account_id", "biz_1"),
    ],
)
def test_a_renamed_field_answers_under_both_names(kind, older, newer, value):
    for came in (older, newer):
        data = parse({"type": kind, "data": {"id": "x_1", came: value}}).data
        assert getattr(data, older) == getattr(data, newer) == value


def test_a_company_of_the_older_shape_is_an_account_by_every_name():
    data = parse(
        {"type": "payment.succeeded", "data": {"id": "pay_1", "company": {"id": "biz_1", "title": "Club"}}}
    ).data
    assert data.account.title == "Club"
    assert data.account_id == data.company_id == "biz_1"


# Money.


@pytest.mark.parametrize(
    "came", [49.9, "49.90", {"amount": "49.9", "currency": "eur", "decimals": 2, "display_decimals": 2}]
)
def test_money_is_one_type_whatever_form_it_came_in(came):
    data = parse({"type": "payment.succeeded", "data": {"id": "pay_1", "currency": "eur", "total": came}}).data
    assert data.total == Money(amount=Decimal("49.90"), currency="eur")
    assert str(data.total) == "49.90 EUR"


def test_bare_amounts_have_the_currency_that_stands_beside_them():
    data = parse(
        {
            "type": "payment.succeeded",
            "data": {
                "id": "pay_1",
                "currency": "eur",
                "settlement_currency": "gbp",
                "total": 10,
                "settlement_amount": 8.5,
                "usd_total": 11.25,
                "disputes": [{"id": "dspt_1", "amount": 3, "currency": "chf"}],
            },
        }
    ).data
    assert [
        str(amount) for amount in (data.total, data.settlement_amount, data.usd_total, data.disputes[0].amount)
    ] == [
        "10.00 EUR",
        "8.50 GBP",
        "11.25 USD",
        "3.00 CHF",
    ]


@given(amount=st.decimals(-(10**9), 10**9, places=6, allow_nan=False))
def test_money_is_exact_to_the_last_digit(amount):
    assert Money.model_validate(str(amount)).amount == amount
    assert Money.model_validate(json.loads(str(float(amount)))).amount == Decimal(repr(float(amount)))


def test_money_is_compared_within_a_currency():
    small, large, other = (
        Money(amount=amount, currency=currency) for amount, currency in ((1, "usd"), (2, "usd"), (1, "eur"))
    )
    assert small < large
    assert large >= small
    assert small != other
    assert small != 1
    assert len({small, Money(amount=Decimal("1.00"), currency="usd", decimals=2)}) == 1
    with pytest.raises(CurrencyMismatch, match="different currencies"):
        assert small < other
    with pytest.raises(TypeError):
        assert small < 1


def test_money_is_made_by_position_and_added_up():
    assert Money("12.50", "usd") == Money(amount=Decimal("12.5"), currency="USD")
    assert hash(Money("12.50", "usd")) == hash(Money("12.5", "USD"))
    assert sum([Money("0.10", "usd"), Money("0.20", "usd")]) == Money("0.30", "usd")
    assert Money(5, "usd") - Money("7.5", "usd") == Money("-2.5", "usd") == -Money("2.5", "usd")
    assert abs(Money("-2.5", "usd")) == Money("2.5", "usd")
    with pytest.raises(ValidationError):
        Money("a lot", "usd")


amounts = st.decimals(-(10**40), 10**40, places=9, allow_nan=False)


@given(amounts, amounts)
def test_money_is_added_and_negated_to_the_last_digit(one, other):
    exact = Context(prec=200)
    assert (Money(one, "usd") + Money(other, "usd")).amount == exact.add(one, other)
    assert (Money(one, "usd") - Money(other, "usd")).amount == exact.subtract(one, other)
    assert (-Money(one, "usd")).amount == one.copy_negate()
    assert abs(Money(one, "usd")).amount == one.copy_abs()


@pytest.mark.parametrize("act", [operator.add, operator.sub, operator.lt, operator.ge], ids=lambda act: act.__name__)
def test_currencies_are_not_mixed(act):
    with pytest.raises(CurrencyMismatch, match=r"1\.00 USD and 1\.00 EUR have different currencies"):
        act(Money(1, "usd"), Money(1, "eur"))
    assert issubclass(CurrencyMismatch, FlaskWhopError)


def test_money_is_compared_with_nothing():
    due, none, owed = Money(5, "usd"), Money("0.00", "usd"), Money(-5, "usd")
    assert (due > 0, none > 0, owed > 0, owed < 0, none >= 0, none <= 0) == (True, False, False, True, True, True)
    assert (none == 0, due == 0, bool(due), bool(none)) == (True, False, True, False)
    assert hash(none) == hash(0)


@pytest.mark.parametrize("currency", ["JPY", "jpy", "isk", "UYI", "xaf"])
def test_a_currency_without_smaller_unit_has_no_digits_after_the_point(currency):
    assert str(Money(700, currency)) == f"700 {currency.upper()}"


@pytest.mark.parametrize("currency", ["bhd", "KWD", "tnd", "jod", "omr", "iqd", "lyd"])
def test_a_currency_of_thousands_has_three(currency):
    assert str(Money("1.5", currency)) == f"1.500 {currency.upper()}"


@pytest.mark.parametrize("amount", ["1e999999", "1e-999999", "9" * 5000, "-" + "1" * 400])
def test_an_amount_beyond_all_money_is_written_within_bounds(amount):
    assert len(str(Money(amount, "usd"))) < 100


@pytest.mark.parametrize("digits", [1_000_000, -1, "x", ["x"], {}, 2.5, 10**30])
def test_money_is_written_within_bounds_whatever_digits_it_is_told_to_show(digits):
    total = {"amount": "5000", "currency": "usd", "decimals": 2, "display_decimals": digits}
    data = {"type": "payment.succeeded", "data": {"id": "pay_1", "total": total}}
    assert str(parse_event(json.dumps(data).encode()).data.total) == "5,000.00 USD"


def test_no_zero_is_negative_and_no_currency_is_another_than_one():
    assert str(-Money(0, "usd")) == "0.00 USD"
    with pytest.raises(CurrencyMismatch, match="Whop names none for one of them"):
        Money(1) + Money(1, "usd")
    assert isinstance(hash(Money.model_construct(amount={}, currency="usd")), int)


def test_an_amount_that_is_none_is_written_as_it_came():
    money = Money.model_construct(amount={"a": 1}, currency=["usd"])
    assert str(money) == "{'a': 1} ['USD']"
    assert money != Money(1, "usd")


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (Money(amount=1234567, currency="usd"), "1,234,567.00 USD"),
        (Money(amount=700, currency="jpy"), "700 JPY"),
        (Money(amount="0.000012", currency="btc"), "0.000012 BTC"),
        (Money(amount=-5), "-5.00"),
        (Money(amount=5000, currency="cop", decimals=2, display_decimals=0), "5,000 COP"),
        (Money(amount="5000.5", currency="cop", decimals=2, display_decimals=0), "5,000.5 COP"),
    ],
)
def test_money_is_written_for_people_and_never_rounded(money, text):
    assert str(money) == text


@pytest.mark.parametrize("came", [True, "many", [], {"currency": "usd"}, {"amount": None}])
def test_what_is_no_money_is_kept_as_it_came_and_told(came):
    event = parse(
        {"type": "payment.succeeded", "timestamp": 1, "data": {"id": "pay_1", "total": came, "card_last4": "4242"}}
    )
    assert event.data.card_last4 == "4242"
    assert event.drift[0].startswith("data.total")


def test_a_ledger_line_tells_its_amount_in_units_of_its_currency():
    data = {"id": "x_1", "amount": "-4990000000", "currency": {"code": "usd", "precision": "100000000"}}
    assert str(parse({"type": "deposit.succeeded", "data": data}).data.money) == "-49.90 USD"
    for odd in (
        {"currency": None},
        {"amount": "many"},
        {"currency": {"code": "usd", "precision": "0"}},
        {"amount": None},
    ):
        assert parse({"type": "deposit.succeeded", "data": data | odd}).data.money is None


def test_the_secrets_of_a_card_are_in_no_repr():
    card = sample("card.created", PIN, secrets={"card_number": "4000123412341234", "cvc": "987", "pin": "5512"})
    event = parse(card)
    assert event.data.secrets.cvc == "987"
    for secret in ("4000123412341234", "987", "5512"):
        assert secret not in repr(event.data)


# What changed.


def test_an_update_tells_what_changed_and_from_what():
    event = parse(
        sample("membership.updated", PIN) | {"previous_attributes": {"status": "trialing", "expires_at": None}}
    )
    assert event.changed("status")
    assert event.changed("plan_id", "expires_at")
    assert not event.changed("plan_id")
    assert event.changed()
    assert event.previous_attributes["status"] == "trialing"
    assert not parse(sample("membership.activated")).changed()


# Samples.


@pytest.mark.parametrize("pin", [None, "2026-08-01", PIN])
@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_a_sample_is_read_without_drift_and_the_same_on_each_call(kind, pin):
    body = sample(kind, pin)
    event = parse(body)
    assert event.drift == ()
    assert event.account_id.startswith("biz_")
    assert event.api_version_date == pin
    assert body == sample(kind, pin)


def test_a_sample_belongs_to_whoever_asked_for_it():
    sample("payment.succeeded")["data"]["user"]["email"] = "changed@example.com"
    assert sample("payment.succeeded")["data"]["user"]["email"] == "ada@example.com"


def test_the_shape_of_a_sample_goes_by_its_pin():
    assert sample("payment.succeeded")["data"]["total"] == 49.0
    assert sample("payment.succeeded", PIN)["data"]["total"]["amount"] == "49.00"
    assert sample("identity_profile.approved", PIN)["data"].keys() == {"id"}
    assert "company_id" in sample("payment.succeeded", "2026-08-01")
    assert "account_id" in sample("payment.succeeded", "2026-08-14")


def test_a_sample_takes_other_values_by_keyword():
    data = sample("payment.succeeded", status="void", metadata={"note": "x"})["data"]
    assert (data["status"], data["metadata"]) == ("void", {"note": "x"})


@pytest.mark.parametrize("pin", [None, PIN])
def test_a_sample_is_parsed_as_it_is(pin):
    body = sample("payment.succeeded", pin)
    event = parse_event(body)
    assert (event.id, event.drift, event.raw) == (body["id"], (), body)


@pytest.mark.parametrize("pin", ["latest", "2026", "2026-13-01", "2026-10-15-x", "v1", ""])
def test_a_pin_that_is_no_date_is_refused(pin):
    with pytest.raises(CheckFailed, match="A pin is a date, such as 2026-10-15 or 2026-10-15-1"):
        sample("payment.succeeded", pin)


@pytest.mark.parametrize("pattern", ["payment.*", "*", "payment.succeede?", "refund.[cu]*"])
def test_a_pattern_is_no_event(pattern):
    with pytest.raises(UnknownEventError, match="is a pattern, and one event's name is needed; it matches "):
        sample(pattern)
    with pytest.raises(UnknownEventError, match=r"'nothing\.\*' is a pattern, .* it matches none"):
        sample("nothing.*")


def test_a_sample_says_what_its_event_says():
    assert sample("payment.succeeded")["data"]["status"] == "paid"
    assert sample("payment.failed")["data"]["failure_message"]
    assert sample("membership.deactivated")["data"]["status"] == "canceled"


def test_a_sample_of_no_event_is_refused():
    with pytest.raises(UnknownEventError, match=r"payment\.succeeded"):
        sample("payment.suceeded")


# Whatever Whop changes: delivered, and told.


def mutations(data):
    """Payloads that are a few steps away from ``data``."""
    places = [place for place in walk(data) if place]
    junk = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.none(), max_size=2)
    junk |= st.dictionaries(st.text(max_size=5), st.integers(), max_size=2)
    return st.lists(st.tuples(st.sampled_from(places), st.sampled_from(["drop", "set", "add"]), junk), max_size=6)


def walk(data, path=()):
    yield path
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield from walk(value, (*path, key))


def mutate(data, steps):
    data = json.loads(json.dumps(data))
    for path, what, junk in steps:
        holder = data
        for step in path[:-1]:
            if not isinstance(holder, (dict, list)) or (isinstance(holder, list) and not holder):
                break
            holder = holder.get(step, {}) if isinstance(holder, dict) else holder[-1]
        if isinstance(holder, dict):
            if what == "drop":
                holder.pop(path[-1], None)
            else:
                holder[str(path[-1]) if what == "set" else "something_new"] = junk
    return data


@pytest.mark.parametrize("pin", [None, PIN])
@pytest.mark.parametrize(
    "kind", ["payment.succeeded", "membership.updated", "identity_profile.updated", "account.updated"]
)
def test_whatever_whop_changes_is_delivered_whole_and_told(kind, pin):

    from flask_whop import WhopWebhooks

    app = new_app(name="mutated", WHOP_STORE="memory://")
    seen, told = [], []
    whop = WhopWebhooks(app)
    whop.on(kind)(lambda app, event: seen.append((event.data, event)))
    signals.payload_drifted.connect_via(app)(lambda app, event: told.append(event))
    sender = Sender(app)
    original = sample(kind, pin)

    @settings(max_examples=examples(60))
    @given(steps=mutations(original["data"]))
    def check(steps):
        data = mutate(original["data"], steps)
        seen.clear()
        told.clear()
        assert sender.deliver(kind, data).status_code == 200
        [(_, event)] = seen
        assert event.raw["data"] == data
        assert told == ([event] if event.drift else [])

    check()
