"""What the kit delivers: samples with other values, set by name or path, and never into a field that isn't there."""

from __future__ import annotations

import json

import pytest

from flask_whop.events import EVENT_TYPES, parse_event
from flask_whop.testing import CheckFailed, FakeWhop, WhopSimulator, WhopTestClient, sample

PIN = "2026-10-15-1"


@pytest.fixture
def kit(app, whop):
    with WhopTestClient(app) as client:
        yield client


@pytest.mark.parametrize(
    ("data", "slip", "meant"),
    [
        ({"stauts": "open"}, "stauts", "status"),
        ({"user.emial": "x"}, "user.emial", "user.email"),
        ({"user": {"emial": "x"}}, "user.emial", "user.email"),
        ({"email": "x"}, "email", "user.email"),
        ({"disputes": [{"stauts": "x"}]}, "disputes.stauts", "disputes.status"),
    ],
)
def test_a_field_that_the_payload_does_not_have_is_refused_with_the_nearest(kit, data, slip, meant):
    with pytest.raises(CheckFailed) as failed:
        kit.deliver("payment.succeeded", data=data, check=False)
    assert str(failed.value) == f"No field {slip!r} in the payload of payment.succeeded; the nearest is {meant!r}."
    assert kit.answers == []


def test_a_field_that_is_near_to_none_is_refused_with_those_that_there_are(kit):
    with pytest.raises(CheckFailed, match=r"No field 'qqq' in the payload of entry\.created; it has id, status, plan"):
        kit.deliver("entry.created", data={"qqq": 1})


def test_a_slip_in_the_envelope_is_refused(kit):
    with pytest.raises(CheckFailed, match=r"No field 'compny_id' in the envelope of .*; the nearest is 'company_id'"):
        kit.deliver("payment.succeeded", envelope={"compny_id": "biz_1"})
    with pytest.raises(CheckFailed, match=r"No field 'status' in the envelope of .*; the nearest is 'data.status'"):
        kit.deliver("payment.succeeded", envelope={"status": "open"})


def test_a_step_through_a_value_without_parts_is_refused(kit):
    with pytest.raises(CheckFailed, match=r"No field 'data.status.code' in .*; data.status has no parts"):
        kit.deliver("payment.succeeded", data={"status.code": 1})
    with pytest.raises(CheckFailed, match=r"No item '3' in data.verifications, which has 1"):
        kit.deliver("identity_profile.approved", data={"verifications.3.status": "x"})
    with pytest.raises(CheckFailed, match=r"No item 'first' in data.verifications"):
        kit.deliver("identity_profile.approved", data={"verifications.first.status": "x"})


def test_the_simulator_and_the_fake_refuse_it_too(app, whop):
    with pytest.raises(CheckFailed, match=r"the nearest is 'user.email'"):
        WhopSimulator(app).happens("payment.succeeded", data={"user.emial": "x"})
    with FakeWhop() as fake:
        fake.webhook("http://127.0.0.1:9", ["payment.succeeded"])
        with pytest.raises(CheckFailed, match=r"the nearest is 'user.email'"):
            fake.send("payment.succeeded", data={"user.emial": "x"}, logged={})


def test_a_path_and_an_object_are_merged_into_what_is_there(kit):
    before = kit.deliver("payment.succeeded", id="msg_1").event.raw["data"]["user"]
    for data in ({"user.email": "grace@example.com"}, {"user": {"email": "grace@example.com"}}):
        answer = kit.deliver("payment.succeeded", data=data, id="msg_1")
        assert json.loads(answer.body)["data"]["user"] == {**before, "email": "grace@example.com"}


def test_an_item_of_a_list_is_set_by_its_number_and_a_list_is_replaced(kit):
    answer = kit.deliver("identity_profile.approved", data={"verifications.0.status": "rejected"})
    assert answer.event.data.verifications[0].status == "rejected"
    answer = kit.deliver("identity_profile.approved", data={"verifications": [{"id": "verf_1"}, {"id": "verf_2"}]})
    assert [one.id for one in answer.event.data.verifications] == ["verf_1", "verf_2"]


def test_the_sellers_own_keys_are_free(kit):
    answer = kit.deliver("payment.succeeded", data={"metadata": {"a.b": 1}})
    assert answer.event.data.metadata == {"a.b": 1}
    assert kit.deliver("payment.succeeded", data={"metadata.order": 7}).event.data.metadata == {"order": 7}


def test_a_field_that_the_shape_of_the_pin_lacks_can_be_set(kit):
    assert kit.deliver("identity_profile.approved", pin=PIN, data={"email": "x@y.z"}).event.data.email == "x@y.z"
    event = kit.deliver("membership.updated", pin=PIN, data={"user.email": "x@y.z"}).event
    assert (event.data.user.email, event.drift) == ("x@y.z", ())
    assert event.data.user.id == sample("membership.updated", PIN)["data"]["user_id"]


def test_where_whop_documents_no_fields_any_will_do(kit):
    assert kit.deliver("ad_campaign.events", data={"clicks.today": 3}).event.raw["data"]["clicks"] == {"today": 3}


def test_a_whole_body_is_delivered_as_a_new_event_with_other_values(kit):
    body = sample("payment.succeeded", PIN)
    first, second = kit.deliver(body, data={"user.email": "x@y.z"}), kit.deliver(body, id="msg_2")
    assert first.event.data.user.email == "x@y.z"
    assert (second.event.id, second.event.timestamp) == ("msg_2", kit.clock.now())
    assert first.event.id not in (body["id"], "msg_2")
    assert body == sample("payment.succeeded", PIN)
    with pytest.raises(CheckFailed, match="leave out pin="):
        kit.deliver(body, pin=PIN)


def test_a_whole_body_may_have_more_than_we_know(kit):
    kit.deliver({"type": "comet.sighted", "data": {"tail": 1}}, data={"tail": 2, "coma.size": 3})
    [event] = kit.assert_received("comet.sighted")
    assert event.raw["data"] == {"tail": 2, "coma": {"size": 3}}
    body = sample("payment.succeeded")
    body["new"], body["data"]["newer"] = 1, {"newest": 1}
    event = kit.deliver(body, data={"newer.newest": 2}, envelope={"new": 2}).event
    assert (event.raw["new"], event.raw["data"]["newer"]) == (2, {"newest": 2})


@pytest.mark.parametrize("pin", [None, PIN])
@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_each_field_of_a_sample_can_be_set_to_itself(event_type, pin):
    body = sample(event_type, pin)
    assert sample(event_type, pin, **body["data"]) == body
    assert sample(event_type, pin, **dict(leaves(body["data"]))) == body
    assert parse_event(body).drift == ()


def leaves(value, path=""):
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for name, item in items:
        if isinstance(item, (dict, list)):
            yield from leaves(item, f"{path}{name}.")
        else:
            yield f"{path}{name}", item
