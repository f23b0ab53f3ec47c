"""The identity desk, looked at through headless Chromium."""

from __future__ import annotations

import urllib.request
from datetime import datetime, timedelta, timezone
from threading import Thread
from uuid import uuid4

import pytest
from playwright.sync_api import expect
from werkzeug.serving import make_server

from examples.identity_desk import create_app
from flask_whop.testing import signed
from tests.shop import SECRET


@pytest.fixture
def address(tmp_path):
    server = make_server("127.0.0.1", 0, create_app(SECRET, tmp_path / "desk.sqlite3"), threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def page(browser, address):
    page = browser.new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.goto(address)
    yield page
    page.close()
    assert [fault for fault in faults if "ERR_INTERNET_DISCONNECTED" not in fault] == []


def deliver(address, profile_id, at, event="needs_action", **data):
    body = {
        "id": f"msg_{uuid4().hex}",
        "type": f"identity_profile.{event}",
        "timestamp": at,
        "data": {"id": profile_id, **data},
    }
    request = signed(body, SECRET)
    with urllib.request.urlopen(
        urllib.request.Request(f"{address}/webhooks/whop", request["data"], request["headers"])
    ) as answer:
        assert answer.status == 200


def needs_action(address, name, at, **data):
    deliver(
        address,
        f"idpf_{name}",
        at,
        first_name=name,
        **data,
        verifications=[{"id": "verf_1", "session_url": "https://verify.example/1", "last_error_reason": "Blurry."}],
    )


def test_a_row_appears_and_goes_without_a_reload(page, address):
    expect(page.get_by_role("heading", name="Nobody has to act")).to_be_visible()
    page.evaluate("window.neverReloaded = true")

    needs_action(address, "Ada", "2026-11-02T10:00:00Z")
    expect(page.get_by_role("heading", name="Ada")).to_be_visible()
    expect(page.get_by_text("Blurry.")).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("Ada: action needed.")

    needs_action(address, "Grace", "2026-11-02T10:01:00Z")
    expect(page.get_by_role("heading", level=2)).to_have_text(["Grace", "Ada"])

    deliver(address, "idpf_Ada", "2026-11-02T10:02:00Z", "approved")
    expect(page.get_by_role("heading", level=2)).to_have_text(["Grace"])
    assert page.evaluate("window.neverReloaded")


def test_the_keyboard_reaches_all_and_keeps_its_place_when_a_row_arrives(page, address):
    needs_action(address, "Ada", "2026-11-02T10:00:00Z", email="ada@example.com")
    expect(page.get_by_role("heading", name="Ada")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Write to ada@example.com")).to_be_focused()
    page.keyboard.press("Tab")
    button = page.get_by_role("button", name="Copy link for Ada")
    expect(button).to_be_focused()

    needs_action(address, "Grace", "2026-11-02T10:01:00Z")
    expect(page.get_by_role("heading", name="Grace")).to_be_visible()
    expect(button).to_be_focused()


def test_the_link_is_copied(page, address):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    needs_action(address, "Ada", "2026-11-02T10:00:00Z")
    expect(page.get_by_text("https://verify.example/1")).to_be_hidden()
    page.get_by_role("button", name="Copy link for Ada").press("Enter")
    expect(page.get_by_role("status")).to_have_text("Copied the link for Ada.")
    assert page.evaluate("navigator.clipboard.readText()") == "https://verify.example/1"
    expect(page.get_by_role("button", name="Copy link for Ada")).to_be_enabled()


def test_a_link_that_the_browser_does_not_copy_is_shown_and_selected(page, address):
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('denied')) }")
    needs_action(address, "Ada", "2026-11-02T10:00:00Z")
    page.get_by_role("button", name="Copy link for Ada").click()
    expect(page.get_by_text("https://verify.example/1")).to_be_visible()
    assert page.evaluate("getSelection().toString()") == "https://verify.example/1"


def test_without_script_the_link_is_shown(browser, address):
    needs_action(address, "Ada", "2026-11-02T10:00:00Z")
    page = browser.new_page(java_script_enabled=False)
    page.goto(address)
    expect(page.get_by_text("https://verify.example/1")).to_be_visible()
    expect(page.get_by_role("button")).to_have_count(0)
    expect(page.locator("time")).to_have_text("2 Nov 2026, 10:00 UTC")
    page.close()


@pytest.mark.parametrize(
    ("ago", "words"),
    [
        (timedelta(seconds=5), "just now"),
        (timedelta(hours=3, minutes=5), "3 hours ago"),
        (timedelta(days=1, minutes=5), "1 day ago"),
        (timedelta(days=400), None),
    ],
)
def test_the_time_is_told_in_words_and_in_full(page, address, ago, words):
    at = datetime.now(timezone.utc) - ago
    needs_action(address, "Ada", at.isoformat())
    when = page.locator("time")
    expect(when).to_have_text(words or f"{at.day} {at:%b %Y}")
    expect(when).to_have_attribute("title", f"{at.day} {at:%B %Y, %H:%M} UTC")


@pytest.mark.parametrize("width", [320, 375, 1280])
def test_nothing_is_cut_off_on_a_screen_of_any_width(page, address, width):
    page.set_viewport_size({"width": width, "height": 700})
    needs_action(address, "A" * 120, "2026-11-02T10:00:00Z")
    expect(page.get_by_role("heading", level=2)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_lost_connection_is_told_and_so_is_its_return(page, address):
    page.context.set_offline(True)
    expect(page.get_by_text("No connection")).to_be_visible()
    page.context.set_offline(False)
    expect(page.get_by_text("Updates automatically.")).to_be_visible()
