"""Events: one class and one signal for each type, found by rule; read whatever comes."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
import typing
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, field_validator, model_validator

from flask_whop import events, signals
from flask_whop.events import (
    EVENT_TYPES,
    Event,
    EventName,
    IdentityProfileNeedsAction,
    Money,
    Payload,
    Resource,
    UnknownEvent,
    event_class,
    parse_event,
    registry,
)
from flask_whop.events.event_names import FamilyPattern
from flask_whop.events.reading import read_payload
from flask_whop.events.registry import FAMILIES
from flask_whop.signals import lifecycle, payload_drifted, unknown_event
from flask_whop.signals.app_signal import AppSignal
from flask_whop.signals.kinds import EventSignal
from tests import examples


def defined_classes():
    """Every class that a family module defines, with its family."""
    for family in FAMILIES:
        module = import_module(f"flask_whop.events.{family}")
        for cls in vars(module).values():
            if isinstance(cls, type) and cls.__module__ == module.__name__:
                yield family, cls


def event_classes():
    return [(family, cls) for family, cls in defined_classes() if issubclass(cls, Event)]


def parse(body):
    return parse_event(json.dumps(body).encode(), "msg_1")


def test_each_class_of_an_event_is_found_by_its_type():
    by_type = {cls.type: cls for _, cls in event_classes()}
    assert [*by_type] == [*EVENT_TYPES] == [*signals.EVENT_SIGNALS]
    assert len(by_type) == len(event_classes()) == 115
    for event_type, cls in by_type.items():
        assert event_class(event_type) is cls


def test_every_module_with_events_is_a_family():
    folder = Path(events.__file__).parent
    assert {file.stem for file in folder.glob("*.py") if "(Event[Literal[" in file.read_text()} == {*FAMILIES}


def test_the_first_word_of_each_event_and_of_its_payload_names_their_family():
    for family, cls in event_classes():
        for name in (cls.type, cls.__name__, cls.payload_class.__name__):
            assert registry._family_of(name) == family, name


@pytest.mark.parametrize("find", ["event_class('entry.created')", "EntryCreated", "Entry"])
def test_finding_an_event_or_its_payload_imports_no_other_family(find):
    code = (
        "import sys; from flask_whop import events; from flask_whop.events.registry import FAMILIES; "
        f"print(events.{find}.__module__, [one for one in FAMILIES if f'flask_whop.events.{{one}}' in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed == "flask_whop.events.entries ['entries']\n"


@pytest.mark.parametrize(
    "event_type",
    [
        *("", ".", "payment", "payment.", "payment.Succeeded", "PAYMENT.SUCCEEDED", "payment_succeeded", "Payment"),
        *("PaymentSucceeded", "app.", "app_", "app.app_payment.created", "payment.succeeded ", "event", "__class__"),
        *("payment." + "x" * 1_000_000, "payment" * 100_000, "app_" * 100_000, "\ud83d", "payment.\0", "../payments"),
        *(None, 7, ["payment.succeeded"], {"payment.succeeded": 1}, b"payment.succeeded"),
    ],
    ids=lambda event_type: str(event_type)[:30].encode("unicode_escape").decode(),
)
def test_what_is_no_type_of_an_event_has_no_class_and_is_not_remembered(event_type):
    assert event_class("payment.succeeded")
    before = {*registry._classes}
    assert event_class(event_type) is None
    assert {*registry._classes} == before


def test_each_type_has_one_signal_whose_annotation_is_the_class_of_that_type():
    hints = {
        name: typing.get_args(hint)[0]
        for name, hint in typing.get_type_hints(signals, vars(signals) | vars(events)).items()
        if typing.get_origin(hint) is EventSignal
    }
    by_type = {vars(signals)[name].event_type: cls for name, cls in hints.items()}
    assert len(by_type) == len(hints)
    assert by_type == {cls.type: cls for _, cls in event_classes()}
    assert {kind: signal.event_class for kind, signal in signals.EVENT_SIGNALS.items()} == by_type


def test_each_signal_is_named_after_its_class():
    for kind, signal in signals.EVENT_SIGNALS.items():
        words = "".join(word.title() for word in kind.replace(".", "_").split("_"))
        name = signal.event_class.__name__
        assert name in (words, words + "V5"), kind
        assert vars(signals)[kind.replace(".", "_") + ("_v5" if name.endswith("V5") else "")] is signal


def test_each_class_is_found_in_the_package_under_its_own_name():
    listed = dir(events)
    for _, cls in defined_classes():
        assert getattr(events, cls.__name__) is cls
        assert cls.__name__ in listed


@pytest.mark.parametrize("name", ["PaymentSuceeded", "payment_succeeded", "Event_", "_x", "__wrapped__", ""])
def test_a_name_that_no_family_has_is_not_in_the_package(name):
    with pytest.raises(AttributeError, match=f"no attribute '{name}'"):
        getattr(events, name)


def test_each_name_that_a_checker_finds_in_the_package_is_there():
    for family in FAMILIES:
        for name, value in vars(import_module(f"flask_whop.events.{family}")).items():
            if not name.startswith("_"):
                assert getattr(events, name) is value


def test_each_class_and_each_payload_says_what_it_means():
    for family, cls in event_classes():
        assert cls.__doc__, cls
        assert cls.__doc__ != Event.__doc__
        assert cls.payload_class.__doc__ not in (None, Payload.__doc__, Resource.__doc__), family


def test_each_signal_says_in_an_editor_what_it_is_for():
    lines = [line for module in (lifecycle, signals) for line in ast.parse(inspect.getsource(module)).body]
    said = {
        line.target.id: inspect.cleandoc(below.value.value)
        for line, below in pairwise(lines)
        if isinstance(line, ast.AnnAssign) and isinstance(below, ast.Expr)
    }
    made = {name: value for name, value in vars(signals).items() if isinstance(value, AppSignal)}
    assert made.keys() <= said.keys()
    for name, signal in made.items():
        if signal in signals.EVENT_SIGNALS.values():
            assert said[name] == inspect.cleandoc(signal.event_class.__doc__), name


def test_a_pattern_that_no_checker_knows_is_a_text(whop, sender):
    got = []
    whop.on(events.EventPattern("payment.succ*"))(lambda app, event: got.append(event.type))
    sender.deliver("payment.succeeded")
    sender.deliver("payment.failed")
    assert got == ["payment.succeeded"]


def test_type_checkers_know_each_name_and_the_usual_patterns():
    assert get_args(EventName) == EVENT_TYPES
    patterns = get_args(FamilyPattern)
    assert len(patterns) == len({*patterns})
    words = [event_type.split(".") for event_type in EVENT_TYPES]
    split = [(".".join(one[:at]), ".".join(one[at:])) for one in words for at in range(1, len(one))]
    assert {*patterns} == {"*", *(f"{first}.*" for first, _ in split), *(f"*.{rest}" for _, rest in split)}


def test_nothing_but_an_id_is_required_of_a_payload():
    for family in FAMILIES:
        for cls in vars(import_module(f"flask_whop.events.{family}")).values():
            if isinstance(cls, type) and issubclass(cls, BaseModel):
                required = {name for name, field in cls.model_fields.items() if field.is_required()}
                assert required <= ({"amount"} if cls is Money else {"id"}), cls


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_each_type_is_parsed_into_its_class_in_both_envelopes(kind):
    for account in ({"company_id": "biz_1"}, {"account_id": "biz_1", "api_version_date": None}):
        event = parse(
            {"id": "msg_1", "type": kind, "timestamp": "2026-11-02T10:00:00Z", "data": {"id": "x_1"}} | account
        )
        assert type(event) is signals.EVENT_SIGNALS[kind].event_class
        assert event.type == kind
        assert event.account_id == "biz_1"
        assert event.data.id == "x_1"
        assert event.drift == ()


def test_fields_that_no_model_declares_are_kept():
    event = parse({"type": "identity_profile.updated", "data": {"id": "idpf_1", "risk": {"score": 3}}})
    assert event.data.risk == {"score": 3}


def test_an_unknown_type_arrives_as_an_unknown_event(sender):
    found = []
    unknown_event.connect(lambda app, event: found.append(event))
    assert sender.deliver("comet.sighted", {"id": "cmt_1", "tail": 7}).json["status"] == "processed"
    [event] = found
    assert isinstance(event, UnknownEvent)
    assert (event.type, event.data.tail) == ("comet.sighted", 7)


@pytest.mark.parametrize("named", [None, 7, "", [], {"a": 1}])
def test_an_event_that_names_no_type_is_an_unknown_event(sender, named):
    found = []
    unknown_event.connect(lambda app, event: found.append(event.type))
    assert sender.send({"id": "msg_1", "type": named, "data": {}}).status_code == 200
    assert found == [""]


def test_a_payload_that_does_not_fit_reaches_its_receivers_with_what_could_be_read(sender):
    seen, drifted = [], []
    signals.identity_profile_needs_action.connect(lambda app, event: seen.append(event))
    payload_drifted.connect(lambda app, event: drifted.append(event.drift))

    answer = sender.deliver(
        "identity_profile.needs_action",
        {
            "id": "idpf_1",
            "email": ["not", "text"],
            "first_name": "Ada",
            "created_at": "yesterday",
            "personal_address": "none",
            "business_address": {"city": 1, "country": "GB"},
            "linked_companies": None,
            "verifications": [17, {"id": "verf_1", "session_url": 4}, {"status": "verified"}, {"id": "verf_2"}],
        },
    )

    assert answer.status_code == 200
    [event] = seen
    assert event.drift == (
        "data.business_address.city",
        "data.created_at",
        "data.email",
        "data.personal_address",
        "data.verifications.0",
        "data.verifications.1.session_url",
        "data.verifications.2.id",
    )
    assert drifted == [event.drift]
    data = event.data
    assert (data.first_name, data.email, data.created_at) == ("Ada", ["not", "text"], "yesterday")
    assert (data.personal_address, data.business_address.city, data.business_address.country) == ("none", 1, "GB")
    assert data.linked_companies == ()
    assert data.verifications[0] == 17
    assert (data.verifications[1].id, data.verifications[1].session_url) == ("verf_1", 4)
    assert (data.verifications[2].id, data.verifications[2].status) == (None, "verified")
    assert data.verifications[3].id == "verf_2"
    assert event.raw["data"]["email"] == ["not", "text"]


@pytest.mark.parametrize("data", [None, [], "text", 3, True, [{"id": "idpf_1"}]])
def test_data_that_is_no_object_is_an_empty_payload_and_drift(data):
    event = parse({"type": "identity_profile.updated", "timestamp": 1_700_000_000, "data": data})
    assert (event.data.id, event.data.verifications, event.drift) == (None, (), ("data",))
    assert event.raw["data"] == data


@pytest.mark.parametrize("when", [None, "soon", [], {}, "9999999999999999999999", "2026-11-02T10:00:00"])
def test_a_time_that_cannot_be_read_is_none_and_drift(when):
    event = parse({"type": "identity_profile.updated", "timestamp": when, "data": {"id": "idpf_1"}})
    assert (event.timestamp, event.drift) == (None, ("timestamp",))


@pytest.mark.parametrize("when", ["2026-11-02T10:00:00.000Z", "2026-11-02T12:00:00+02:00", 1_793_613_600])
def test_times_are_aware_whatever_form_they_come_in(when):
    event = parse({"type": "identity_profile.updated", "timestamp": when, "data": {"id": "idpf_1", "created_at": when}})
    assert event.timestamp.timestamp() == event.data.created_at.timestamp() == 1_793_613_600


def test_an_envelope_of_odd_values_is_read_as_if_they_were_missing():
    event = parse(
        {"id": 4, "type": "x", "company_id": {}, "account_id": 3, "previous_attributes": [], "api_version": 2}
    )
    assert (event.id, event.account_id, event.api_version, event.api_version_date) == ("msg_1", None, None, None)
    assert dict(event.previous_attributes) == {}


def test_previous_attributes_are_there_and_cannot_be_changed():
    event = parse(
        {"type": "membership.updated", "data": {"id": "mem_1"}, "previous_attributes": {"status": "trialing"}}
    )
    assert event.previous_attributes["status"] == "trialing"
    with pytest.raises(TypeError):
        event.previous_attributes["status"] = "active"


def test_raw_is_what_came_even_after_somebody_changed_what_was_read():
    body = {"type": "x", "data": {"id": "x_1", "list": [1]}}
    event = parse(body)
    event.data.list.append(2)
    assert event.raw == body


def test_a_payload_cannot_be_changed_by_one_receiver_for_the_next():
    event = parse({"type": "identity_profile.updated", "data": {"id": "idpf_1"}})
    with pytest.raises(ValueError, match="frozen"):
        event.data.email = "a@b.c"


def test_no_model_is_built_for_an_event_whose_payload_nobody_reads(sender, monkeypatch):
    from flask_whop.events import envelope

    monkeypatch.setattr(envelope, "read_payload", lambda *_: pytest.fail("built a model"))
    signals.payment_succeeded.connect(lambda app, event: event.id)
    assert sender.deliver("payment.succeeded").status_code == 200


def test_the_repr_of_an_event_shows_nothing_of_its_payload(documented):
    event = parse_event(documented)
    assert repr(event) == "<IdentityProfileNeedsAction msg_xxxxxxxxxxxxxxxxxxxxxxxx>"


def test_half_a_surrogate_pair_in_a_text_does_not_fail_the_delivery(sender):
    seen = []
    signals.chat_message_created.connect(lambda app, event: seen.append(event.data.message))
    body = b'{"id":"msg_s","type":"chat.message.created","data":{"message":"cut \\ud83d"}}'
    assert sender.send(body).status_code == 200
    assert seen == ["cut \ud83d"]


def test_a_subclass_of_a_users_own_does_not_take_an_events_place():
    class Mine(IdentityProfileNeedsAction):
        """A subclass of somebody's own."""

    assert type(parse({"type": Mine.type, "data": {"id": "idpf_1"}})) is IdentityProfileNeedsAction


class Parcel(Payload):
    """A payload of the kinds that Whop may come up with."""

    weights: dict[str, int] = Field(default={})
    height: int | None = None
    volume: int | None = None

    @field_validator("volume")
    @classmethod
    def check_volume(cls, value, info):
        if value is not None and "net" not in info.data.get("weights", ["net"]):
            raise ValueError("nothing has a volume without a weight")
        return value


class Sealed(Parcel):
    """A payload whose fields are checked against each other."""

    @model_validator(mode="after")
    def check(self):
        if self.height == 0:
            raise ValueError("flat")
        return self


def test_values_in_a_mapping_are_kept_as_they_came():
    parcel, drift = read_payload(Parcel, {"weights": {"net": 1, "gross": "much"}})
    assert (parcel.weights, drift) == ({"net": 1, "gross": "much"}, ("weights.gross",))


def test_a_field_whose_check_depends_on_one_that_does_not_fit_is_kept_with_it():
    parcel, drift = read_payload(Parcel, {"height": 2, "volume": 3, "weights": {"net": "much"}})
    assert (parcel.weights, parcel.volume, drift) == ({"net": "much"}, 3, ("volume", "weights"))
    assert parcel.height == 2


def test_a_payload_that_fails_as_a_whole_is_kept_as_a_whole():
    parcel, drift = read_payload(Sealed, {"height": 0, "weights": {"net": 1}})
    assert (parcel.height, parcel.weights, drift) == (0, {"net": 1}, ("",))
    parcel, drift = read_payload(Sealed, {"height": 0, "weights": {"net": []}})
    assert (parcel.height, parcel.weights, drift) == (0, {"net": []}, ("",))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
FIELDS = [
    *("id", "email", "verifications", "linked_companies", "personal_address", "created_at", "status", "country"),
    *("session_url", "last_error_reason", "city", "title", "new_field"),
]
profiles = st.recursive(
    json_values,
    lambda inner: st.dictionaries(st.sampled_from(FIELDS), inner | st.lists(inner, max_size=3), max_size=6),
    max_leaves=30,
)


@settings(max_examples=examples(400))
@given(data=profiles)
def test_whatever_the_payload_is_something_is_read_and_raw_is_what_came(data):
    body = {"id": "msg_1", "type": "identity_profile.updated", "timestamp": "2026-11-02T10:00:00Z", "data": data}
    event = parse(body)
    assert event.raw == body
    assert isinstance(event.drift, tuple)
    if isinstance(data, dict):
        for name, value in data.items():
            if f"data.{name}" in event.drift:
                assert getattr(event.data, name) == value
