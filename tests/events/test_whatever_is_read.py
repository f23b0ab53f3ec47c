"""Whatever a payload holds, reading it raises nothing, and what Whop sends answers by its own name."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from flask_whop.events import EVENT_TYPES, parse_event, reading
from flask_whop.events.payload import Payload
from flask_whop.testing import sample

METHODS = sorted(name for name in dir(BaseModel) if not name.startswith(("_", "model_")))
ODD_KEYS = [
    "cls",
    "self",
    "_fields_set",
    "__class__",
    "__dict__",
    "__init__",
    "model_config",
    "\ud800",
    "\x00",
    "",
    *METHODS,
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("\udfff"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*ODD_KEYS, "id"]), inner, max_size=3),
    max_leaves=8,
)
DATA = VALUES | st.dictionaries(
    st.sampled_from([*ODD_KEYS, "id", "user", "created_at", "verifications"]), VALUES, max_size=8
)


def event_of(data, event_type="payment.succeeded", **envelope):
    return parse_event(json.dumps({"id": "msg_1", "type": event_type, "data": data, **envelope}).encode())


@given(st.sampled_from([*EVENT_TYPES, "nonesuch.event"]), DATA)
def test_nothing_that_comes_makes_reading_raise(event_type, data):
    event = event_of(data, event_type)
    assert event.data is event.data
    assert isinstance(event.drift, tuple)
    assert all(isinstance(act(event.data), kind) for act, kind in ((hash, int), (repr, str), (str, str)))
    assert event.raw["data"] == data


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("event_type", ["payment.succeeded", "nonesuch.event"])
def test_a_field_that_is_called_like_a_method_of_pydantics_answers_as_the_field(event_type, name):
    data = event_of({**sample("payment.succeeded")["data"], name: "theirs"}, event_type).data
    assert getattr(data, name) == "theirs"
    assert callable(getattr(type(data), name))
    assert callable(getattr(event_of({"id": "pay_1"}, event_type).data, name))


def test_no_name_of_ours_stands_in_the_way_of_a_field():
    code = (
        "from pydantic import BaseModel; from flask_whop.events import EVENT_TYPES, event_class\n"
        "from flask_whop.events.payload import Payload\n"
        "for one in EVENT_TYPES: event_class(one).payload_class.model_rebuild()\n"
        "models = [Payload]\n"
        "for one in models: models += one.__subclasses__()\n"
        "names = {name for one in models for name in {*dir(one)} - {*dir(BaseModel)} - {*one.model_fields}}\n"
        # No field of JSON is called _like_this or LIKE_THIS, and what begins with model_ is pydantic's.
        "print([name for name in names if name.islower() and name[0] != '_'])"
    )
    # In a process of its own: tests declare models too.
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "['money']\n"  # a ledger's amount in units, where Whop sends no such field


@pytest.mark.parametrize("name", METHODS)
def test_a_model_that_is_declared_later_may_have_such_a_field(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydantic warns of the name
        later = type("Later", (Payload,), {"__annotations__": {name: str | None}, name: None, "__module__": __name__})
    assert getattr(later.model_validate({name: "theirs"}), name) == "theirs"
    assert getattr(later.model_validate({}), name) is None


@pytest.mark.parametrize("key", ["cls", "self", "_fields_set", "\ud800", "values", "model"])
def test_a_payload_that_fits_nowhere_is_kept_whole_whatever_its_keys(key):
    data = {key: "theirs", "id": ["no id"]}
    payload = reading._bare(event_of({}).payload_class, data)
    assert (getattr(payload, key), payload.id) == ("theirs", ["no id"])


def test_items_that_do_not_fit_are_put_back_in_one_go(monkeypatch):
    calls, insert = [], reading._insert
    monkeypatch.setattr(reading, "_insert", lambda *arguments: calls.append(arguments[1]) or insert(*arguments))
    items = [number if number % 3 else {"id": f"v_{number}"} for number in range(3000)]
    event = event_of({"id": "idpf_1", "verifications": items}, "identity_profile.needs_action")
    assert [one if isinstance(one, int) else {"id": one.id} for one in event.data.verifications] == items
    assert len(event.drift) >= 2000
    assert calls == [("verifications",)]


@pytest.mark.parametrize("delivery_id", ["\ud800", "\x00\x1b[31m", "x" * 100_000, "é" * 300])
def test_an_event_of_whatever_id_has_a_key_a_hash_and_a_short_name(delivery_id):
    event = event_of({}, id=delivery_id)
    assert len(event.idempotency_key("mail")) == 32
    assert isinstance(hash(event), int)
    assert len(repr(event)) < 200
    assert repr(event).isprintable()
    assert str(event) == repr(event)


def test_a_payload_names_itself_and_shows_no_person():
    data = event_of(sample("payment.succeeded")["data"]).data
    assert repr(data) == f"<Payment {data.id}>"
    assert repr(data.user) == f"<User {data.user.id}>"
    assert data.user.email in str(data.user)
    assert repr(event_of({"name": "Ada"}, "nonesuch.event").data) == "<Payload>"
    long = event_of({"id": "x" * 1_000_000, "name": "y" * 1_000_000}).data
    assert (len(repr(long)) < 200, len(str(long)) <= 10_000) == (True, True)


# Pickling.


@pytest.mark.parametrize("event_type", [*EVENT_TYPES, "nonesuch.event"])
def test_an_event_pickles(event_type):
    event = event_of({"id": "x_1", "user": {"id": "user_1"}}, event_type)
    copy = pickle.loads(pickle.dumps(event))
    assert (type(copy), copy.type, copy.id, copy.raw, copy.data) == (
        type(event),
        event_type,
        "msg_1",
        event.raw,
        event.data,
    )
    assert copy.stale is False


def test_an_event_pickles_in_a_receiver_and_knows_whether_it_is_stale(whop, sender):
    copies = []
    whop.on("membership.updated", name="copies")(lambda app, event: copies.append(pickle.loads(pickle.dumps(event))))
    for delivery_id, second in (("msg_2", 2), ("msg_1", 1)):
        sender.deliver("membership.updated", {"id": "mem_1"}, id=delivery_id, timestamp=f"2026-11-02T10:00:0{second}Z")
    assert [(one.id, one.stale) for one in copies] == [("msg_2", False), ("msg_1", True)]
