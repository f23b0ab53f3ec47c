"""The inbox, used through headless Chromium: gunicorn serves it, on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from urllib.error import HTTPError
from uuid import uuid4

import psycopg
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from flask_whop.testing import signed
from tests import ROOT
from tests.services import free_port, url_of
from tests.shop import SECRET

HOSTILE = "<img src=x onerror=document.title='taken'>"
WIDTHS = (1280, 768, 390)
CUT_OFF = """[...document.querySelectorAll('.row > *')].filter((cell) => cell.offsetWidth).filter((cell) => {
  const [inner, outer] = [cell.getBoundingClientRect(), cell.closest('.rows').getBoundingClientRect()];
  return inner.right > outer.right + 1 || inner.left < outer.left - 1;
}).map((cell) => cell.className)"""


class Shop:
    def __init__(self, folder, store):
        self.folder = folder
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}/whop"
        environment = os.environ | {
            "WHOP_WEBHOOK_SECRET": SECRET,
            "SHOP_INSTANCE": str(folder),
            "SHOP_STORE": store,
            "PYTHONPATH": str(ROOT),
        }
        command = ["gunicorn", "--workers=2", "--threads=4", f"--bind=127.0.0.1:{self.port}"]
        with (folder / "output").open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command, "tests.inbox.served:create_app()"],
                env=environment,
                cwd=folder,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        for _ in range(400):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert self.process.poll() is None, (folder / "output").read_text()
                time.sleep(0.05)
            else:
                return
        pytest.fail((folder / "output").read_text())

    def deliver(self, delivery_id=None, event_type="payment.succeeded", **data):
        delivery_id = delivery_id or f"msg_{uuid4().hex}"
        body = {"id": delivery_id, "type": event_type, "company_id": "biz_1", "data": {"id": "pay_1", **data}}
        request = signed(body, SECRET)
        address = f"http://127.0.0.1:{self.port}/webhooks/whop"
        with suppress(HTTPError):  # what a receiver raises is answered 500
            urllib.request.urlopen(urllib.request.Request(address, request["data"], request["headers"])).close()
        return delivery_id

    def breaks(self, broken=True):
        (self.folder / "broken").touch() if broken else (self.folder / "broken").unlink()

    def called(self):
        return (self.folder / "called").read_text().split("\n")[:-1]


@pytest.fixture(scope="module", params=["SQLite", "PostgreSQL"])
def shop(request, tmp_path_factory, browser):
    folder = tmp_path_factory.mktemp("shop")
    if request.param == "SQLite":
        yield from served(folder, "sqlite:///whop.sqlite3")
        return
    # A database of its own: the tables have their usual names, and others run at the same time.
    url, name = url_of("PostgreSQL"), f"whop_shop_{uuid4().hex[:12]}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        try:
            yield from served(folder, f"{url.rpartition('/')[0]}/{name}")
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def served(folder, store):
    """A shop that is stopped in the end."""
    shop = Shop(folder, store)
    yield shop
    shop.process.send_signal(signal.SIGTERM)
    shop.process.wait(30)


@pytest.fixture
def page(browser, shop):
    context = browser.new_context()
    page = context.new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: None if request.url.startswith(shop.address) else faults.append(request.url))
    yield page
    context.close()
    assert faults == []


@pytest.fixture
def plain(browser):
    """A page of a browser without scripts."""
    context = browser.new_context(java_script_enabled=False)
    yield context.new_page()
    context.close()


def row(page, delivery_id):
    return page.locator(".row", has=page.locator(f"#d-{delivery_id}"))


def test_what_arrives_appears_without_a_reload(shop, page):
    page.goto(shop.address)
    expect(page.get_by_role("button", name="Live")).to_be_visible()
    delivery_id = shop.deliver()
    expect(row(page, delivery_id)).to_contain_text("payment.succeeded", timeout=15_000)
    expect(page.get_by_role("status")).to_contain_text("new")


def test_it_can_be_paused(shop, page):
    page.goto(shop.address)
    page.get_by_role("button", name="Live").click()
    expect(page.get_by_role("status")).to_have_text("Paused")
    delivery_id = shop.deliver()
    page.wait_for_timeout(4000)  # longer than it waits between two looks
    expect(row(page, delivery_id)).to_have_count(0)
    page.get_by_role("button", name="Live").click()
    expect(row(page, delivery_id)).to_have_count(1, timeout=15_000)


def test_the_focus_stays_where_it_is_when_rows_arrive(shop, page):
    first = shop.deliver()
    page.goto(shop.address)
    page.locator(f"#d-{first}").focus()
    second = shop.deliver()
    expect(row(page, second)).to_have_count(1, timeout=15_000)
    assert page.evaluate("document.activeElement.id") == f"d-{first}"


def test_a_failure_is_found_read_and_replayed_for_the_one_receiver_that_failed(shop, page):
    shop.breaks()
    delivery_id = shop.deliver(plan={"id": "plan_gold"})
    shop.breaks(broken=False)
    page.goto(shop.address)
    page.get_by_role("link", name="Needs attention").click()
    expect(row(page, delivery_id)).to_contain_text("LookupError: there is no course for plan_gold")
    page.locator(f"#d-{delivery_id}").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("payment.succeeded")
    expect(page.get_by_text("A replay calls 1 receiver, here and now.")).to_be_visible()
    before = len(shop.called())
    page.get_by_role("button", name="Replay for it alone").click()
    expect(page.get_by_text("Replayed: every receiver is done with it.")).to_be_visible()
    assert [line.split()[0] for line in shop.called()[before:]] == ["fulfil"]


def test_a_forced_replay_asks_first_and_keeps_the_key(shop, page):
    delivery_id = shop.deliver()
    page.goto(f"{shop.address}/deliveries/{delivery_id}")
    before = shop.called()
    page.get_by_text("Call it again…").first.click()
    page.get_by_role("button", name="Call it again").first.click()
    assert shop.called() == before  # the box isn't ticked
    page.get_by_role("checkbox").first.check()
    page.get_by_role("button", name="Call it again").first.click()
    expect(page.get_by_text("Replayed: every receiver is done with it.")).to_be_visible()
    assert shop.called()[len(before) :] == [before[-2]]


def test_filters_narrow_the_list_and_stay_in_the_address(shop, page):
    shop.deliver("msg_refund", "refund.created")
    page.goto(shop.address)
    page.get_by_text("Filters").click()
    page.get_by_label("Event type").fill("refund.*")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator(".row")).to_have_count(1)
    page.reload()
    expect(page.locator(".row")).to_contain_text("refund.created")
    expect(page.get_by_label("Event type")).to_have_value("refund.*")
    page.get_by_role("link", name="Clear").click()
    page.get_by_role("searchbox").fill("msg_ref")
    page.keyboard.press("Enter")
    expect(page.locator(".row")).to_have_count(1)


def test_the_payload_is_shown_when_asked_for_and_is_in_no_address(shop, page):
    delivery_id = shop.deliver(user={"email": "ada@example.com"})
    addresses = []
    page.on("request", lambda request: addresses.append(f"{request.url} {request.headers.get('referer', '')}"))
    page.goto(f"{shop.address}/deliveries/{delivery_id}")
    expect(page.get_by_text("ada@example.com")).to_have_count(0)
    page.get_by_role("link", name="Show the payload").click()
    expect(page.get_by_text("ada@example.com")).to_be_visible()
    page.get_by_role("link", name="JSON").click()
    expect(page.locator("pre.json")).to_contain_text('"email": "ada@example.com"')
    page.get_by_role("link", name="Hide").click()
    expect(page.get_by_text("ada@example.com")).to_have_count(0)
    assert not any("example.com" in address or "ada@" in address for address in addresses)


def test_all_of_it_works_without_scripts(shop, plain):
    shop.breaks()
    delivery_id = shop.deliver()
    shop.breaks(broken=False)
    plain.goto(f"{shop.address}/?state=failed")
    expect(plain.locator("#live")).to_be_hidden()
    plain.locator(f"#d-{delivery_id}").click()
    plain.get_by_role("link", name="Show the payload").click()
    expect(plain.locator(".tree")).to_be_visible()
    plain.get_by_role("button", name="Replay", exact=True).click()
    expect(plain.get_by_text("Replayed: every receiver is done with it.")).to_be_visible()
    plain.get_by_role("link", name="Health").click()
    expect(plain.get_by_role("heading", name="Receivers")).to_be_visible()
    plain.goto(shop.address)
    plain.get_by_role("searchbox").fill(delivery_id[:20])
    plain.get_by_role("button", name="Find").click()
    expect(plain.locator(".row")).to_have_count(1)


def test_the_keyboard_alone_gets_from_the_list_to_a_replay(shop, page):
    shop.breaks()
    delivery_id = shop.deliver()
    shop.breaks(broken=False)
    page.goto(f"{shop.address}/?q={delivery_id}")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == f"d-{delivery_id}":
            break
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("deliveries/msg_"))
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Replay":
            break
    page.keyboard.press("Enter")
    expect(page.get_by_text("Replayed: every receiver is done with it.")).to_be_visible()


def test_what_a_payload_says_becomes_no_markup(shop, page):
    delivery_id = shop.deliver(event_type=f"payment.{HOSTILE}", note=HOSTILE, **{HOSTILE: HOSTILE})
    for path in ("", f"/deliveries/{delivery_id}?payload=tree", f"/deliveries/{delivery_id}?payload=json", "/health"):
        page.goto(f"{shop.address}{path}")
        expect(page.locator("main img")).to_have_count(0)
        assert page.title() != "taken"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_in_the_way_of_people_who_use_it_otherwise(shop, browser, scheme):
    shop.breaks()
    failed = shop.deliver(plan={"id": "plan_" + "x" * 200})
    shop.breaks(broken=False)
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    paths = ("", "/?state=failed", "/?type=payment.*", "/?q=nobody", "/?since=odd", "/health", "/health?span=week")
    for path in (
        *paths,
        f"/deliveries/{failed}?payload=tree",
        f"/deliveries/{failed}?payload=json",
        "/deliveries/none",
    ):
        page.goto(f"{shop.address}{path}")
        found = Axe().run(page)
        assert found.violations_count == 0, f"{path}\n{found.generate_report()}"
        for width in (*WIDTHS, 320):  # the last is what 1280 is at a zoom of 400 %
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (path, width)
            assert page.evaluate(CUT_OFF) == [], (path, width)
    context.close()
