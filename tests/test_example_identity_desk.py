"""The identity desk: whoever has to act is on the page, with the reason and the link."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from datetime import timedelta
from pathlib import Path

import pytest

from examples.identity_desk import create_app
from flask_whop.testing import WhopSimulator, WhopTestClient
from tests.conftest import SECRET

PIN = "2026-10-15-1"
NOBODY = dict.fromkeys(("first_name", "last_name", "business_name", "email"))


@pytest.fixture
def app(tmp_path):
    return create_app(SECRET, tmp_path / "desk.sqlite3")


@pytest.fixture
def whop(app):
    with WhopTestClient(app) as client:
        yield client


def needs_action(whop, profile_id="idpf_1", **data):
    whop.deliver("identity_profile.needs_action", data={"id": profile_id, **data})


def verification(**fields):
    return {"verifications": [{"id": "verf_1", **fields}]}


def page(app):
    return app.test_client().get("/").text


def shown(app):
    return re.findall(r'<li id="(\w+)"', page(app))


def test_the_documented_payload_is_on_the_page_in_spite_of_its_placeholders(app, whop, documented):
    whop.send(documented)
    assert shown(app) == ["idpf_xxxxxxxxxxxxx"]
    assert "<h2>idpf_xxxxxxxxxxxxx</h2>" in page(app)
    assert "Document image was too blurry to read." in page(app)
    assert 'href="https://verify.stripe.com/session/abc123"' in page(app)
    assert 'datetime="2025-01-01T00:00:00+00:00"' in page(app)


def test_the_newest_is_first_in_whatever_order_they_arrive(app, whop):
    noon = whop.clock()
    for profile_id, hours in (("idpf_2", 1), ("idpf_3", 2), ("idpf_1", 0)):
        whop.clock.set_to(noon + hours * 3600)
        needs_action(whop, profile_id)
    assert shown(app) == ["idpf_3", "idpf_2", "idpf_1"]


@pytest.mark.parametrize("decided", ["approved", "rejected"])
def test_whoever_is_decided_on_leaves_the_page_and_comes_back_when_needed(app, whop, decided):
    needs_action(whop)
    whop.clock.advance(3600)
    whop.deliver(f"identity_profile.{decided}", data={"id": "idpf_1"})
    assert shown(app) == []
    assert "Nobody has to act" in page(app)
    whop.clock.advance(3600)
    needs_action(whop)
    assert shown(app) == ["idpf_1"]


def test_an_older_event_that_arrives_late_changes_nothing(app, whop):
    whop.deliver("identity_profile.approved", data={"id": "idpf_1"})
    whop.clock.set_to(whop.clock() - 3600)
    needs_action(whop)
    assert shown(app) == []


def test_whops_worst_weekend_leaves_on_the_page_whoever_has_to_act(app):
    simulator = WhopSimulator(app, duplicates=0.3, disorder=3 * 3600)
    simulator.receiver("identity_profile.*", failing_for=timedelta(hours=30))
    for number in range(6):
        profile = {"id": f"idpf_{number}"}
        simulator.happens("identity_profile.needs_action", data=profile)
        simulator.happens("identity_profile.approved", data=profile, after=3600)
        if number % 2:
            simulator.happens("identity_profile.needs_action", data=profile, after=7200)
    assert simulator.run().lost == ()
    assert sorted(shown(app)) == ["idpf_1", "idpf_3", "idpf_5"]


def test_an_update_is_left_to_the_event_of_its_own_name(app, whop):
    assert whop.deliver("identity_profile.updated").status == "unhandled"
    assert shown(app) == []


def test_the_bare_id_of_a_pinned_webhook_is_shown_and_forgets_no_name(app, whop):
    pinned = {"pin": PIN, "data": {"id": "idpf_1"}}
    whop.deliver("identity_profile.needs_action", **pinned)
    assert "the details are in Whop&#39;s dashboard" in page(app) or "the details are in Whop's dashboard" in page(app)
    needs_action(whop, first_name="Ada", last_name="King")
    whop.deliver("identity_profile.needs_action", **pinned)
    assert "<h2>Ada King</h2>" in page(app)


@pytest.mark.parametrize(
    ("profile", "name"),
    [
        ({"first_name": "Ada", "last_name": None, "business_name": "Engines"}, "Ada"),
        ({"first_name": "<string>", "business_name": "Engines"}, "Engines"),
        ({"business_name": " ", "email": "ada@example.com"}, "ada@example.com"),
        ({"first_name": ["Ada"]}, "idpf_1"),
    ],
)
def test_people_are_called_by_the_best_name_there_is(app, whop, profile, name):
    needs_action(whop, **NOBODY | profile)
    assert f"<h2>{name}</h2>" in page(app)


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "http://verify.example", "//verify.example", "nonsense", ""]
)
def test_what_is_no_secure_web_address_is_no_link(app, whop, address):
    needs_action(whop, **verification(session_url=address, last_error_reason="Blurry."))
    assert "<a " not in page(app)


def test_nothing_that_arrives_becomes_markup(app, whop):
    needs_action(whop, first_name="<script>alert(1)</script>", **verification(last_error_reason="<b>bold</b>"))
    assert "<script>alert" not in page(app)
    assert "<b>bold" not in page(app)


def test_the_page_needs_nothing_from_outside_and_allows_nothing_else(app):
    answer = app.test_client().get("/")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert re.findall(r'(?:src|href)="(?!/static/|data:)([^"]+)"', answer.text) == []


def test_rows_that_have_not_changed_are_not_sent_again(app, whop):
    client = app.test_client()
    first = client.get("/rows")
    assert client.get("/rows", headers={"If-None-Match": first.headers["ETag"]}).status_code == 304
    needs_action(whop)
    assert client.get("/rows", headers={"If-None-Match": first.headers["ETag"]}).status_code == 200


def test_rows_outlast_the_process(whop, tmp_path):
    needs_action(whop)
    assert shown(create_app(SECRET, tmp_path / "desk.sqlite3")) == ["idpf_1"]


def test_the_command_delivers_to_itself_tells_what_arrived_and_serves_until_it_is_stopped(tmp_path):
    command = [
        sys.executable,
        "-m",
        "examples.identity_desk",
        "--port",
        "0",
        "--database",
        str(tmp_path / "desk.sqlite3"),
    ]
    for _ in range(2):
        process = subprocess.Popen(
            command,
            cwd=Path(__file__).parents[1],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"NO_COLOR": "1"},
        )
        with process:
            lines = [process.stdout.readline() for _ in range(7)]
            assert [line[:15] for line in lines[2:5]] == ["  200 processed"] * 3
            assert "Document image was too blurry to read." in lines[2]
            address = re.search(r"http://\S+", lines[6])[0]
            with urllib.request.urlopen(address) as answer:
                assert len(re.findall("<li id=", answer.read().decode())) == 3
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
