"""The course shop, looked at through headless Chromium."""

from __future__ import annotations

from threading import Thread

import pytest
from flask_migrate import upgrade
from playwright.sync_api import expect
from werkzeug.security import generate_password_hash
from werkzeug.serving import make_server

from examples.course_shop import create_app
from examples.course_shop.models import db
from flask_whop.testing import WhopTestClient
from tests.shop import SECRET


@pytest.fixture
def shop(tmp_path):
    app = create_app(
        {
            "SECRET_KEY": "a key",
            "SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path / 'shop.sqlite3'}",
            "STAFF_PASSWORD_HASH": generate_password_hash("staff", "pbkdf2:sha256:1"),
            "OUTBOX": tmp_path,
            "WHOP_WEBHOOK_SECRET": SECRET,
        }
    )
    with app.app_context():
        upgrade()
    with WhopTestClient(app) as whop:
        for event in ("membership.activated", "payment.succeeded", "refund.updated", "dispute.created"):
            whop.deliver(event)
        whop.deliver("product.updated", data={"title": "A" * 120})
        whop.work()
        whop.assert_nothing_failed()
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def address(shop):
    server = make_server("127.0.0.1", 0, shop, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def page(browser):
    page = browser.new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    yield page
    page.close()
    assert faults == []


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_staff_logs_in_by_keyboard_and_nothing_is_cut_off(page, address, width):
    page.set_viewport_size({"width": width, "height": 700})
    page.goto(address)
    page.keyboard.type("guess\n")
    expect(page.get_by_text("That isn't the password.")).to_be_visible()
    page.keyboard.type("staff\n")
    expect(page.get_by_role("heading", name="Books")).to_be_visible()
    expect(page.get_by_text("1 person has access")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Staff password")).to_be_focused()
