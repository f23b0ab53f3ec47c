"""Who may look at the inbox, who may change something, and what other sites can do: nothing."""

from __future__ import annotations

import pytest
from flask import Flask, Response, abort, redirect
from flask_wtf import CSRFProtect

from flask_whop import WhopWebhooks
from flask_whop.errors import SetupError
from flask_whop.inbox import WhopInbox
from tests.inbox.conftest import OURS, Desk
from tests.shop import SECRET, new_app

PAGES = ("/", "/live", "/deliveries/msg_1", "/deliveries/nobody", "/health", "/send", "/static/inbox.css")


def with_inbox(app, **options):
    whop = WhopWebhooks(app)
    WhopInbox(app, **options)
    return Desk(app, whop)


def test_it_does_not_start_without_anybody_who_says_who_may_look(app):
    with pytest.raises(SetupError, match="authorize="):
        with_inbox(app)


def test_in_debug_mode_this_machine_may_look_without_it(app):
    app.debug = True
    desk = with_inbox(app)
    assert desk.get().status_code == 200
    for base_url in ("http://127.0.0.1:5000", "http://[::1]:5000"):
        assert desk.get(base_url=base_url).status_code == 200


@pytest.mark.parametrize(
    "how",
    [
        {"environ_base": {"REMOTE_ADDR": "192.0.2.7"}},
        {"base_url": "http://shop.example"},  # a name that somebody else's DNS leads here
        {"base_url": "http://localhost.example"},
        {"headers": {"X-Forwarded-For": "192.0.2.7"}},  # a tunnel
        {"headers": {"Forwarded": "for=192.0.2.7"}},
        {"headers": {"Via": "1.1 proxy"}},
        {"headers": {"CF-Connecting-IP": "192.0.2.7"}},
    ],
)
def test_in_debug_mode_nobody_else_may(app, how):
    app.debug = True
    assert with_inbox(app).get(**how).status_code == 403


def test_when_debug_mode_is_turned_off_later_nobody_may(app):
    app.debug = True
    desk = with_inbox(app)
    app.debug = False
    assert desk.get().status_code == 403


@pytest.mark.parametrize("path", PAGES[:-1])
def test_who_may_not_look_sees_nothing(app, path):
    desk = with_inbox(app, authorize=lambda: False)
    desk.deliver("msg_1", data={"id": "pay_secret"})
    answer = desk.get(path)
    assert answer.status_code == 403
    assert "pay_secret" not in answer.text
    assert "msg_1" not in answer.text


def test_who_is_not_logged_in_is_sent_to_the_login(app):
    desk = with_inbox(app, authorize=lambda: redirect("/login"))
    answer = desk.get()
    assert (answer.status_code, answer.location) == (302, "/login")


@pytest.mark.parametrize("answer", [("Forbidden", 403), 1, "no", Response])
def test_what_is_neither_yes_nor_no_lets_nobody_in(app, answer):
    app.testing = True
    desk = with_inbox(app, authorize=lambda: answer)
    with pytest.raises(SetupError, match="True, False"):
        desk.get()


def test_it_may_be_a_coroutine(app):
    async def no():
        return False

    assert with_inbox(app, authorize=no).get().status_code == 403


@pytest.mark.parametrize("refuse", [lambda: False, lambda: abort(403)])
def test_looking_does_not_include_replaying(app, refuse):
    desk = with_inbox(app, authorize=lambda: True, authorize_replay=refuse)
    called = []
    desk.whop.on("payment.succeeded", name="fulfil")(lambda app, event: called.append(event) or 1 / 0)
    desk.deliver("msg_1")
    page = desk.get("/deliveries/msg_1")
    assert "You may look, but not replay" in page.text
    assert "<form" not in page.text
    assert desk.post("/replay/msg_1").status_code == 403
    assert len(called) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_no_other_site_can_replay(desk, headers):
    called = []
    desk.whop.on("payment.succeeded", name="fulfil")(lambda app, event: called.append(event) or 1 / 0)
    desk.deliver("msg_1")
    assert desk.post("/replay/msg_1", headers=headers).status_code == 403
    assert desk.post("/send", headers=headers, type="payment.succeeded").status_code == 403
    assert len(called) == 1


def test_an_older_browser_says_where_the_form_was(desk):
    desk.deliver("msg_1")
    assert desk.post("/replay/msg_1", headers={"Origin": "http://localhost"}).status_code == 303


def test_looking_at_an_address_replays_nothing(desk):
    desk.deliver("msg_1")
    assert desk.get("/replay/msg_1").status_code == 405


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("may_look", [True, False])
def test_every_answer_keeps_out_of_frames_search_engines_and_the_reach_of_scripts(app, path, may_look):
    desk = with_inbox(app, authorize=lambda: may_look)
    desk.deliver("msg_1")
    with desk.get(path) as answer:  # a file is open until it's read
        headers = answer.headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Robots-Tag"] == "noindex, nofollow"
    assert headers["Referrer-Policy"] == "same-origin"
    if path != "/static/inbox.css":
        assert headers["Cache-Control"] == "no-store"


def test_the_pages_hold_no_inline_script_or_style(desk):
    desk.deliver("msg_1")
    for path in ("/", "/deliveries/msg_1?payload=tree", "/health"):
        page = desk.get(path).text
        assert page.count("<script") == page.count("<script src=")
        assert "<style" not in page
        assert " style=" not in page
        assert " onclick" not in page
        assert "http" not in page.replace("http-equiv", "").replace("https://whop", "").partition("<main")[0]


def test_flask_wtf_lets_its_forms_through_whenever_it_is_set_up(app):
    app.config["SECRET_KEY"] = "made up"
    desk = with_inbox(app, authorize=lambda: True)
    CSRFProtect(app)
    desk.deliver("msg_1")
    assert desk.post("/replay/msg_1").status_code == 303


def test_one_call_gives_it_to_each_app_now_and_later(tmp_path):
    whop = WhopWebhooks()
    first, second = (new_app(tmp_path / name, name=name, WHOP_STORE="memory://") for name in ("first", "second"))
    whop.init_app(first)
    whop.inbox(authorize=lambda: True, url_prefix="/staff/whop")
    whop.init_app(second)
    assert [Desk(app, whop, "/staff/whop").get().status_code for app in (first, second)] == [200, 200]


def test_a_second_one_is_refused(desk):
    with pytest.raises(SetupError, match="already"):
        desk.whop.inbox(authorize=lambda: True)


def test_an_app_that_matches_hosts_names_its_host():
    app = Flask("hosts", host_matching=True, static_host="shop.example")
    app.config.update(WHOP_WEBHOOK_SECRET=SECRET, WHOP_WEBHOOK_HOST="hooks.example", WHOP_STORE="memory://")
    WhopWebhooks(app)
    WhopInbox(app, authorize=lambda: True, host="staff.example")
    client = app.test_client()
    assert client.get("/whop/", base_url="http://staff.example").status_code == 200
    assert client.get("/whop/health", base_url="http://staff.example").status_code == 200
    assert client.get("/whop/", base_url="http://shop.example").status_code == 404


def test_under_a_path_its_links_lead_to_itself(desk):
    page = desk.app.test_client().get("/whop/", base_url="http://localhost/behind").text
    assert 'href="/behind/whop/health"' in page


def test_forms_of_our_own_pages_are_taken(desk):
    desk.deliver("msg_1")
    assert desk.post("/replay/msg_1", headers=OURS).status_code == 303
