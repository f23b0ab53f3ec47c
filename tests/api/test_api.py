"""The client of Whop's API, against a server that behaves as Whop does on its bad days."""

from __future__ import annotations

import logging
import time
from threading import Thread

import httpx
import pytest
from werkzeug.serving import make_server
from whop_sdk import Whop
from whop_sdk.environment import WhopEnvironment

from flask_whop import WhopWebhooks
from flask_whop.api.client import WhopApi
from flask_whop.api.pace import Pace
from flask_whop.api.records import unix_time
from flask_whop.engine.installation import Installation
from flask_whop.errors import ApiError, ConfigError
from flask_whop.testing import FakeWhop
from flask_whop.testing.fake.api import FakeApi
from flask_whop.testing.fake.server import Reply
from tests.shop import SECRET, new_app

URL = "https://shop.example/webhooks/whop"
PAID = "payment.succeeded"


class Time:
    """A clock that its sleepers move."""

    def __init__(self):
        self.now = 1_795_000_000.0
        self.slept = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock():
    return Time()


@pytest.fixture
def whop(clock):
    with FakeWhop(clock=clock) as whop:
        yield whop


@pytest.fixture
def api(whop, clock):
    with WhopApi(whop.key, whop.url, pace=Pace(clock=clock, sleep=clock.sleep)) as api:
        yield api


def test_a_webhook_is_created_read_changed_listed_and_deleted(whop, api):
    made = api.create(URL, [PAID, "dispute.created"], api_version_date="2026-10-15-1", resource_id="app_1")
    assert made.secret == whop.webhooks[made.id].secret
    assert (made.url, made.events, made.pin, made.resource_id) == (
        URL,
        ("dispute.created", PAID),
        "2026-10-15-1",
        "app_1",
    )
    assert api.webhook(made.id).secret is None, "Whop shows it once"
    assert api.update(made.id, events=[PAID], api_version_date=None).pin is None
    assert [each.id for each in api.webhooks()] == [made.id]
    api.delete(made.id)
    assert list(api.webhooks()) == []


def test_each_post_has_its_own_idempotency_key_and_each_call_the_version(whop, api):
    api.create(URL, [PAID])
    api.create(URL, [PAID])
    keys = [asked.headers["idempotency-key"] for asked in whop.asked]
    assert len(set(keys)) == 2
    assert {asked.headers["api-version-date"] for asked in whop.asked} == {"2026-10-15-1"}


@pytest.mark.parametrize("trouble", ["lost_answer", "no_answer", "server_error", "rate_limited"])
def test_a_create_that_goes_wrong_halfway_makes_one_webhook(whop, api, trouble):
    whop.disturb("create", trouble, times=2)
    made = api.create(URL, [PAID])
    assert list(whop.webhooks) == [made.id]
    assert made.secret == whop.webhooks[made.id].secret
    assert len({asked.headers["idempotency-key"] for asked in whop.asked}) == 1


def test_retries_end_after_a_few_and_the_error_says_so(whop, api):
    whop.disturb("retrieve", "server_error", times=99)
    with pytest.raises(ApiError, match=r"failed 5 times at retrieve: it answers 500\. Try again later") as failed:
        api.webhook("hook_1")
    assert failed.value.status == 500
    assert len(whop.asked) == 5


@pytest.mark.parametrize("trouble", ["rate_limited", "rate_limited_without_header"])
def test_a_rate_limit_is_waited_for_as_long_as_whop_says(whop, api, clock, trouble):
    hook = whop.webhook(URL, [PAID])
    whop.disturb("retrieve", trouble)
    assert api.webhook(hook.id).id == hook.id
    assert clock.slept == [2.0], "the second that Whop named, and one more"


@pytest.mark.parametrize("page_size", [100, 7])
def test_ten_thousand_rows_are_paged_without_a_call_over_the_limit(clock, page_size):
    with FakeWhop(clock=clock, page_size=page_size) as whop:
        hook = whop.webhook(URL, [PAID])
        number = 10_000 if page_size == 100 else 4_900
        for row in range(number):
            whop.add_row(hook, {"id": f"msg_{row}", "type": PAID, "data": {}})
            clock.now += 0.01
        with WhopApi(whop.key, whop.url, pace=Pace(clock=clock, sleep=clock.sleep)) as api:
            seen = [attempt.delivery_id for attempt in api.log(hook.id)]
        assert seen == [f"msg_{row}" for row in reversed(range(number))]
        assert whop.refused_for_rate == 0


def test_a_cursor_that_repeats_ends_in_an_error(whop, api):
    hook = whop.webhook(URL, [PAID])
    for row in range(50):
        whop.add_row(hook, {"id": f"msg_{row}", "type": PAID})
    whop.disturb("list_deliveries", "stuck_cursor", times=9)
    with pytest.raises(ApiError, match="repeat themselves"):
        list(api.log(hook.id))
    assert len(whop.asked) <= 3


@pytest.mark.parametrize(
    "info",
    [
        None,
        {"has_next_page": True, "end_cursor": None},
        {"has_next_page": "true", "end_cursor": "x"},
        {"has_next_page": None, "end_cursor": "x"},
    ],
)
def test_pages_that_do_not_say_how_they_go_on_are_an_error_and_no_end(whop, api, info, monkeypatch):
    whop.add_row(whop.webhook(URL, [PAID]), {"id": "msg_1"})
    monkeypatch.setattr(
        FakeApi, "_page", lambda self, asked, rows, trouble: Reply(200, {"data": [], "page_info": info})
    )
    with pytest.raises(ApiError, match="doesn't say how its pages of list_deliveries go on"):
        list(api.log("hook_000001"))


def test_empty_pages_do_not_go_on_for_ever(whop, api, monkeypatch):
    def page(self, asked, rows, trouble):
        return Reply(200, {"data": [], "page_info": {"has_next_page": True, "end_cursor": f"x{len(whop.asked)}"}})

    whop.webhook(URL, [PAID])
    monkeypatch.setattr(FakeApi, "_page", page)
    with pytest.raises(ApiError, match="doesn't say how"):
        list(api.log("hook_000001"))
    assert len(whop.asked) < 30


def test_a_create_whose_kept_answer_is_a_fault_is_not_repeated_with_a_new_key(whop, api, monkeypatch):
    real = FakeApi._create
    monkeypatch.setattr(FakeApi, "_create", lambda self, wanted: real(self, wanted)._replace(status=500))
    with pytest.raises(ApiError, match="may have done it all the same"):
        api.create(URL, [PAID])
    assert len(whop.webhooks) == 1


def test_a_row_with_nulls_costs_no_other_row(whop, api):
    hook = whop.webhook(URL, [PAID])
    whop.add_row(hook, {"id": "msg_1", "type": PAID})
    for name in ("request_body", "resource_id", "response_code", "total_time", "success", "sent_at", "event"):
        whop.add_row(hook, {"id": f"msg_{name}", "type": PAID}, {name: None})
    whop.add_row(hook, {"id": {"not": "an id"}, "type": 7}, {"success": "yes", "sent_at": [], "response_code": "200"})
    rows = list(api.log(hook.id))
    assert len(rows) == 9
    assert [row.delivery_id for row in rows if row.delivery_id is None] == [None, None]
    assert rows[-1].delivery_id in {"msg_1", "msg_sent_at"}


def test_redirects_are_not_followed(whop, api):
    whop.disturb("update", "redirect")
    with pytest.raises(ApiError, match="redirect \\(302\\), which isn't followed"):
        api.update("hook_1", enabled=True)


@pytest.mark.parametrize("identifier", ["../permissions", "hook_1/replay", "", "hook 1", "hook_1\n", "x" * 300])
def test_an_id_that_would_leave_its_path_is_refused_before_any_call(whop, api, identifier):
    with pytest.raises(ApiError, match="isn't an id"):
        api.webhook(identifier)
    assert whop.asked == []


def test_refusals_name_what_to_do_and_no_key(whop, api, clock):
    whop.permissions.clear()
    with pytest.raises(ApiError, match="developer:manage_webhook"):
        api.webhook("hook_1")
    with WhopApi("apik_wrong_0123456789", whop.url, pace=Pace(sleep=clock.sleep)) as other:
        with pytest.raises(ApiError, match="WHOP_API_KEY isn't a key of this environment") as refused:
            other.webhook("hook_1")
        assert "apik_wrong" not in f"{refused.value!r} {refused.value} {other!r}"


def test_nobody_is_there(clock):
    nowhere = WhopApi("apik_0123456789", "http://127.0.0.1:9/api/v1", pace=Pace(sleep=clock.sleep))
    with nowhere as api, pytest.raises(ApiError, match=r"can't be reached \(ConnectError\)") as failed:
        api.webhook("hook_1")
    assert failed.value.status is None


def test_the_key_is_in_no_log(whop, api, caplog):
    with caplog.at_level(logging.DEBUG):
        whop.disturb("list", "server_error")
        list(api.webhooks())
    assert whop.key not in caplog.text


def test_permissions_are_told_apart(whop, api):
    whop.receives = False
    wanted = ["developer:manage_webhook", "webhook_receive:payments"]
    assert api.permissions("biz_1", wanted) == {"developer:manage_webhook": True, "webhook_receive:payments": False}


def test_a_test_delivery_and_a_replay_really_arrive(whop, api):
    app = new_app(WHOP_STORE="memory://")
    arrived = []
    WhopWebhooks(app).on("*")(lambda app, event: arrived.append((event.type, event.id)))
    server = make_server("127.0.0.1", 0, app)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        hook = whop.webhook(f"http://127.0.0.1:{server.port}/webhooks/whop", [PAID], secret=SECRET)
        assert api.test(hook.id, PAID) == (200, True)
        event_id = whop.send(PAID)
        first = next(api.log(hook.id))
        assert first.delivery_id == event_id
        assert api.redeliver(hook.id, first.id) == (200, True)
    finally:
        server.shutdown()
    assert arrived[-1] == (PAID, event_id), "the replay was a duplicate"
    assert len(arrived) == 2


def test_the_vendors_sdk_agrees_with_the_stand_in(whop):
    http = httpx.Client()
    sdk = Whop(token=whop.key, environment=WhopEnvironment(api=whop.url, vault=whop.url), httpx_client=http)
    made = sdk.webhooks.create(url=URL, events=[PAID])
    assert made.webhook_secret == whop.webhooks[made.id].secret
    for row in range(45):
        whop.add_row(whop.webhooks[made.id], {"id": f"msg_{row}", "type": PAID})
    assert len(list(sdk.webhooks.list_deliveries(made.id, first=10))) == 45
    assert [each.id for each in sdk.webhooks.list()] == [made.id]
    assert sdk.webhooks.update(made.id, events=["dispute.created"]).events == ["dispute.created"]
    assert sdk.webhooks.replay(made.id, sent_after="2026-11-01T00:00:00Z").queued
    [permission] = sdk.permissions.list(resource_id="biz_1", actions="developer:manage_webhook").data
    assert permission.granted
    sdk.webhooks.delete(made.id)
    http.close()


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("2026-11-02T10:00:00.000Z", 1_793_613_600.0),
        ("2026-11-02T10:00:00Z", 1_793_613_600.0),
        ("2026-11-02T11:00:00.1234567+01:00", 1_793_613_600.123456),
        ("2026-11-02T10:00:00.5", 1_793_613_600.5),
        (1_793_613_600, 1_793_613_600.0),
        (True, None),
        ("yesterday", None),
        (None, None),
        ("9999-99-99T00:00:00Z", None),
    ],
)
def test_times_of_the_api_are_read_in_every_form(written, seconds):
    assert unix_time(written) == seconds


def settings(**config):
    app = new_app(WHOP_STORE="memory://", **config)
    WhopWebhooks(app)
    return Installation.of(app).api_settings


def test_the_settings_of_the_api_are_read_from_the_environment_too(monkeypatch):
    monkeypatch.setenv("WHOP_API_KEY", " apik_of_the_environment\n")
    monkeypatch.setenv("WHOP_API_ENVIRONMENT", "sandbox")
    found = settings(WHOP_API_URL="", WHOP_PUBLIC_URL=None)
    assert (found.api_key, found.api_base) == ("apik_of_the_environment", "https://sandbox-api.whop.com/api/v1")
    assert found.public_url is None
    assert "apik_" not in repr(found)
    assert settings(WHOP_API_KEY="apik_of_the_config").api_key == "apik_of_the_config"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("WHOP_API_KEY", "apik_with a blank"),
        ("WHOP_API_KEY", "apik_with\nline"),
        ("WHOP_API_KEY", b"apik_0123456789"),
        ("WHOP_API_ENVIRONMENT", "staging"),
        ("WHOP_API_ENVIRONMENT", ["production"]),
        ("WHOP_API_URL", "http://api.whop.com/api/v1"),
        ("WHOP_API_URL", "https://user:password@api.whop.com"),
        ("WHOP_API_URL", "https://api.whop.com/api/v1?token=apik_0123456789"),
        ("WHOP_PUBLIC_URL", "shop.example.com"),
        ("WHOP_PUBLIC_URL", "https://shop.example.com/?a=b"),
        ("WHOP_PUBLIC_URL", "https://shop.example.com:port"),
    ],
)
def test_a_setting_of_the_api_that_cannot_work_is_refused_when_it_is_needed_and_no_secret_repeated(key, value):
    app = new_app(WHOP_STORE="memory://", **{key: value})
    WhopWebhooks(app)  # receiving needs none of them
    with pytest.raises(ConfigError, match=key) as refused:
        _ = Installation.of(app).api_settings
    assert "apik_" not in str(refused.value)
    assert "password" not in str(refused.value).replace("a query or a password", "")


def test_a_client_of_a_process_is_no_slower_than_a_minute_allows():
    waited = []
    pace = Pace(clock=time.monotonic, sleep=waited.append)
    for _ in range(500):
        pace.wait_for("list")
    assert waited == []
    pace.wait_for("list")
    assert len(waited) == 1
    assert 55 < waited[0] <= 61
    pace.wait_for("retrieve")
    assert len(waited) == 1, "each operation has a limit of its own"
