"""Nothing personal survives in a recording, whatever it's disguised as; under coverage this takes minutes."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_whop.events import EVENT_TYPES, event_class, parse_event
from flask_whop.testing import sample
from tests import IN_THE_GATE, examples
from tests.events.recorded import (
    DISGUISES,
    NUMBER,
    PIN,
    filled,
    is_amount_or_count,
    leaks,
    leaves,
    recorded,
    with_unknown,
)


@pytest.mark.parametrize("pin", [None, PIN])
@pytest.mark.parametrize(("number", "event_type"), [*enumerate(EVENT_TYPES)])
def test_no_text_of_any_field_survives_in_any_disguise(number, event_type, pin):
    body = sample(event_type, pin)
    for text in DISGUISES[:-2] + DISGUISES[-1:] if IN_THE_GATE else DISGUISES[number % 13 : number % 13 + 2]:
        hostile = with_unknown(filled(body["data"], text, 1), text)
        envelope = filled({**body, "data": None}, text, 1) | {"type": event_type, "new": {text: text}, text: text}
        told = recorded({**envelope, "data": hostile, "previous_attributes": hostile}).text
        assert not leaks(told), text


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_no_unknown_number_survives_and_no_digits_but_those_of_amounts_and_counts(event_type):
    for pin in (None, PIN):
        body = sample(event_type, pin)
        told = json.loads(recorded({**body, "data": with_unknown(filled(body["data"], str(NUMBER), NUMBER), "x")}).text)
        for path, value in leaves(told["data"]):
            if leaks(str(value)):
                assert is_amount_or_count(event_type, path), path


@given(
    st.sampled_from(EVENT_TYPES),
    st.recursive(
        st.sampled_from([*DISGUISES[:-2], True, 7, None]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "user", *DISGUISES]), inner),
        max_leaves=6,
    ),
    st.data(),
)
@settings(max_examples=examples(150))
def test_no_payload_of_the_wrong_shape_survives_either(event_type, junk, data):
    payload = deepcopy(sample(event_type)["data"])
    payload[data.draw(st.sampled_from(sorted({*payload, *event_class(event_type).payload_class.model_fields})))] = junk
    for body in ({"data": payload}, {"data": junk}, {"data": payload, "type": junk, "timestamp": junk, "id": junk}):
        told = recorded({"type": event_type, "previous_attributes": junk, **body}).text
        assert not leaks(told)
        parse_event(told.encode())
