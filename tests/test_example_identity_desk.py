"""The identity desk: whoever has to act is on the page, with the reason and the link."""

from __future__ import annotations

import html
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from examples.identity_desk import create_app
from examples.identity_desk.__main__ import main
from flask_whop.testing import WhopSimulator, WhopTestClient
from tests import ROOT, examples
from tests.shop import SECRET

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
    assert "<h2>Name not sent</h2>" in page(app)
    assert "Document image was too blurry to read." in page(app)
    assert "<code>https://verify.stripe.com/session/abc123</code>" in page(app)
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
    assert "Whop sent no reason." in page(app)
    needs_action(whop, first_name="Ada", last_name="King")
    whop.deliver("identity_profile.needs_action", **pinned)
    assert "<h2>Ada King</h2>" in page(app)


@pytest.mark.parametrize(
    ("profile", "name"),
    [
        ({"first_name": "Ada", "last_name": None, "business_name": "Engines"}, "Ada"),
        ({"first_name": "<string>", "business_name": "Engines"}, "Engines"),
        ({"business_name": " ", "email": "ada@example.com"}, "ada@example.com"),
        ({"first_name": ["Ada"]}, "Name not sent"),
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
    assert "No link to pass on" in page(app)
    assert "Copy link" not in page(app)


def test_the_link_is_passed_on_and_not_followed(app, whop):
    needs_action(whop, **verification(session_url="https://verify.example/1"))
    assert "<code>https://verify.example/1</code>" in page(app)
    assert 'href="https://' not in page(app)


def test_a_mail_to_the_person_has_begun_with_the_reason_and_the_link(app, whop):
    needs_action(
        whop,
        email='ada+"x"&y@example.com',
        **verification(session_url="https://verify.example/1?a=b&c", last_error_reason="Blurry & dark."),
    )
    [address] = re.findall(r'href="mailto:([^"]+)"', page(app))
    url = urlsplit(html.unescape(f"mailto:{address}"))
    fields = parse_qs(url.query)
    assert unquote(url.path) == 'ada+"x"&y@example.com'
    assert fields.keys() == {"subject", "body"}
    assert fields["body"][0].split("\n\n")[1:] == ["Blurry & dark.", "https://verify.example/1?a=b&c"]


@pytest.mark.parametrize(
    "email", ["ada", "a b@example.com", "ada@", "@", "a@b@c", "ada@example.com\nBcc: eve@example.com"]
)
def test_what_is_no_address_is_not_written_to(app, whop, email):
    needs_action(whop, email=email)
    assert "mailto:" not in page(app)


@pytest.mark.parametrize("address", ["https://[x", "https://[::1", "https://a]b/", ["https://a"], {}, 7])
def test_an_address_that_cannot_be_read_is_no_link(app, whop, address):
    needs_action(whop, **verification(session_url=address))
    assert shown(app) == ["idpf_1"]
    assert 'href="https://[' not in page(app)


@pytest.mark.parametrize(
    "time",
    ["0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "1969-12-31T00:00Z", 7],
)
def test_a_time_at_the_end_of_the_calendar_is_no_end_of_the_page(app, whop, time):
    for event in ("needs_action", "approved", "needs_action"):
        assert whop.deliver(f"identity_profile.{event}", data={"id": "idpf_1"}, envelope={"timestamp": time}).ok
        assert app.test_client().get("/").status_code == 200


odd_texts = st.text(max_size=9) | st.sampled_from(
    ["https://[x", "https://verify.example", "\ud800", "\x00", "</li><script>", "<string>", "0001-01-01T00:00:00+14:00"]
)
odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | odd_texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd_texts, inner, max_size=3),
    max_leaves=5,
)
verifications = odd | st.lists(
    st.fixed_dictionaries({}, optional=dict.fromkeys(("id", "session_url", "last_error_reason", "created_at"), odd)),
    max_size=2,
)
NAMES = ("first_name", "last_name", "business_name", "email", "status", "country")
optional = {**dict.fromkeys(NAMES, odd), "verifications": verifications}
profiles = st.fixed_dictionaries({"id": st.just("idpf_1") | odd}, optional=optional) | odd


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["needs_action", "approved", "rejected", "updated"]),
    profiles,
    odd | st.datetimes(timezones=st.timezones()).map(str),
)
def test_the_page_survives_every_event_that_it_can_be_sent(app, whop, event, profile, time):
    body = {"type": f"identity_profile.{event}", "timestamp": time, "data": profile}
    assert whop.send(json.dumps(body).encode()).ok
    for path in ("/", "/rows"):
        assert app.test_client().get(path).status_code == 200


def test_the_page_is_shown_under_the_names_of_this_machine_alone(app, whop, tmp_path):
    needs_action(whop)
    client = app.test_client()
    for host, status in (("localhost:5000", 200), ("127.0.0.1:5000", 200), ("attacker.example", 400), ("", 400)):
        for path in ("/", "/rows"):
            assert client.get(path, headers={"host": host}).status_code == status
    named = create_app(SECRET, tmp_path / "desk.sqlite3", hosts=["desk.example"]).test_client()
    assert named.get("/", headers={"host": "desk.example"}).status_code == 200


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


@contextmanager
def ended_if_it_lives(process):
    """Kill a process that a failed check has left, since leaving its own block would wait for its end."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.kill()


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
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"NO_COLOR": "1"},
        )
        with process, ended_if_it_lives(process):
            lines = [process.stdout.readline() for _ in range(7)]
            assert [line[:15] for line in lines[2:5]] == ["  200 processed"] * 3
            assert "".join(lines[:5]) in (ROOT / "README.md").read_text()
            address = re.search(r"http://\S+", lines[6])[0]
            with urllib.request.urlopen(address) as answer:
                assert len(re.findall("<li id=", answer.read().decode())) == 3
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0


def test_a_port_that_is_taken_is_told_with_the_option_for_another(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        database = str(tmp_path / "desk.sqlite3")
        monkeypatch.setattr(sys, "argv", ["identity_desk", "--port", str(port), "--database", database])
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code == 1
    assert f"on port {port} (Address already in use): try another --port." in capsys.readouterr().err
