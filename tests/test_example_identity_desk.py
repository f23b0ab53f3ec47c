"""The identity desk: whoever has to act is on the page, with the reason and the link."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from examples.identity_desk import create_app
from tests.conftest import SECRET, Sender


@pytest.fixture
def desk(tmp_path):
    return Sender(create_app(SECRET, tmp_path / "desk.sqlite3"))


def needs_action(desk, profile_id, at="2026-11-02T10:00:00Z", **data):
    verification = {key: data.pop(key) for key in ("session_url", "last_error_reason") if key in data}
    payload = {
        "id": profile_id,
        **({"verifications": [{"id": "verf_1", **verification}]} if verification else {}),
        **data,
    }
    answer = desk.deliver("identity_profile.needs_action", payload, timestamp=at)
    assert answer.status_code == 200


def page(desk):
    return desk.app.test_client().get("/").text


def shown(desk):
    return re.findall(r'<li id="(\w+)"', page(desk))


def test_the_documented_payload_is_on_the_page_in_spite_of_its_placeholders(desk, documented):
    desk.send(documented)
    assert shown(desk) == ["idpf_xxxxxxxxxxxxx"]
    assert "<h2>idpf_xxxxxxxxxxxxx</h2>" in page(desk)
    assert "Document image was too blurry to read." in page(desk)
    assert 'href="https://verify.stripe.com/session/abc123"' in page(desk)
    assert 'datetime="2025-01-01T00:00:00+00:00"' in page(desk)


def test_the_newest_is_first_in_whatever_order_they_arrive(desk):
    for profile_id, at in (
        ("idpf_2", "2026-11-02T11:00:00Z"),
        ("idpf_3", "2026-11-02T12:00:00Z"),
        ("idpf_1", "2026-11-02T10:00:00Z"),
    ):
        needs_action(desk, profile_id, at)
    assert shown(desk) == ["idpf_3", "idpf_2", "idpf_1"]


@pytest.mark.parametrize("decided", ["approved", "rejected"])
def test_whoever_is_decided_on_leaves_the_page_and_comes_back_when_needed(desk, decided):
    needs_action(desk, "idpf_1", "2026-11-02T10:00:00Z")
    desk.deliver(f"identity_profile.{decided}", {"id": "idpf_1"}, timestamp="2026-11-02T11:00:00Z")
    assert shown(desk) == []
    assert "Nobody has to act" in page(desk)
    needs_action(desk, "idpf_1", "2026-11-02T12:00:00Z")
    assert shown(desk) == ["idpf_1"]


def test_an_older_event_that_arrives_late_changes_nothing(desk):
    desk.deliver("identity_profile.approved", {"id": "idpf_1"}, timestamp="2026-11-02T11:00:00Z")
    needs_action(desk, "idpf_1", "2026-11-02T10:00:00Z")
    assert shown(desk) == []


def test_an_update_is_left_to_the_event_of_its_own_name(desk):
    desk.deliver("identity_profile.updated", {"id": "idpf_1"})
    assert shown(desk) == []


def test_the_bare_id_of_a_pinned_webhook_is_shown_and_forgets_no_name(desk):
    needs_action(desk, "idpf_1")
    assert "the details are in Whop&#39;s dashboard" in page(desk) or "the details are in Whop's dashboard" in page(
        desk
    )
    needs_action(
        desk, "idpf_1", "2026-11-02T11:00:00Z", first_name="Ada", last_name="King", last_error_reason="Blurry."
    )
    needs_action(desk, "idpf_1", "2026-11-02T12:00:00Z")
    assert "<h2>Ada King</h2>" in page(desk)


@pytest.mark.parametrize(
    ("profile", "name"),
    [
        ({"first_name": "Ada", "last_name": None, "business_name": "Engines"}, "Ada"),
        ({"first_name": "<string>", "business_name": "Engines"}, "Engines"),
        ({"business_name": " ", "email": "ada@example.com"}, "ada@example.com"),
        ({"first_name": ["Ada"]}, "idpf_1"),
    ],
)
def test_people_are_called_by_the_best_name_there_is(desk, profile, name):
    needs_action(desk, "idpf_1", **profile)
    assert f"<h2>{name}</h2>" in page(desk)


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "http://verify.example", "//verify.example", "nonsense", ""]
)
def test_what_is_no_secure_web_address_is_no_link(desk, address):
    needs_action(desk, "idpf_1", session_url=address, last_error_reason="Blurry.")
    assert "<a " not in page(desk)


def test_nothing_that_arrives_becomes_markup(desk):
    needs_action(desk, "idpf_1", first_name="<script>alert(1)</script>", last_error_reason="<b>bold</b>")
    assert "<script>alert" not in page(desk)
    assert "<b>bold" not in page(desk)


def test_the_page_needs_nothing_from_outside_and_allows_nothing_else(desk):
    answer = desk.app.test_client().get("/")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert re.findall(r'(?:src|href)="(?!/static/|data:)([^"]+)"', answer.text) == []


def test_rows_that_have_not_changed_are_not_sent_again(desk):
    client = desk.app.test_client()
    first = client.get("/rows")
    assert client.get("/rows", headers={"If-None-Match": first.headers["ETag"]}).status_code == 304
    needs_action(desk, "idpf_1")
    assert client.get("/rows", headers={"If-None-Match": first.headers["ETag"]}).status_code == 200


def test_rows_outlast_the_process(desk, tmp_path):
    needs_action(desk, "idpf_1")
    assert shown(Sender(create_app(SECRET, tmp_path / "desk.sqlite3"))) == ["idpf_1"]


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
