"""``flask whop pull`` brings in what Whop's delivery log has and this app hasn't, each once."""

from __future__ import annotations

import json
import logging
import time
from contextlib import closing
from dataclasses import replace

import pytest
from flask import g

from flask_whop import WhopWebhooks
from flask_whop.engine.installation import Installation
from flask_whop.engine.worker import run_due
from flask_whop.errors import ApiError
from flask_whop.reconcile.pull import pull_all
from flask_whop.reconcile.webhooks import api_of, chosen
from flask_whop.signals import deliveries_pulled
from flask_whop.stores import Key, Origin, State
from flask_whop.testing import FakeWhop, signed
from flask_whop.testing.fake.webhook import iso_of
from tests.shop import SECRET, new_app

PUBLIC = "https://shop.example"
URL = f"{PUBLIC}/webhooks/whop"
PAID = "payment.succeeded"
FAILED = {"success": False, "response_code": 0}
DAY = 86_400


@pytest.fixture
def whop():
    with FakeWhop() as whop:
        yield whop


class Shop:
    """An app whose webhook is at the fake Whop, and what its receiver got."""

    def __init__(self, whop, folder, **config):
        self.whop = whop
        self.hook = next(iter(whop.webhooks.values()), None) or whop.webhook(URL, [PAID], secret=SECRET)
        self.app = new_app(folder, WHOP_API_KEY=whop.key, WHOP_API_URL=whop.url, WHOP_PUBLIC_URL=PUBLIC, **config)
        self.got = []
        self.fails = []
        self.whop_extension = WhopWebhooks(self.app)
        self.whop_extension.on(PAID, name="fulfil")(self.fulfil)

    def fulfil(self, app, event):
        self.got.append(event.id)
        if self.fails:
            raise self.fails.pop()

    def pull(self, *args, **how):
        result = self.app.test_cli_runner().invoke(args=["whop", "pull", *args], **how)
        assert self.whop.key not in result.output
        return result

    def arrive(self, event_id):
        request = signed({"id": event_id, "type": PAID, "data": {"id": "pay_1"}}, SECRET)
        return self.app.test_client().post("/webhooks/whop", **request).status_code

    def get(self, event_id):
        installation = Installation.of(self.app)
        with self.app.app_context():
            return installation.store.get(Key(installation.engine.endpoint, event_id))


@pytest.fixture
def shop(whop, tmp_path):
    return Shop(whop, tmp_path)


def remember(shop, seconds):
    """Let the store have begun some time ago."""
    installation = Installation.of(shop.app)
    with shop.app.app_context():
        endpoint, store = installation.engine.endpoint, installation.store
        store._change(f"UPDATE whop_notes SET noted_at = {time.time() - seconds} WHERE name = 'began'", {})
        assert store.note(endpoint, "began") < time.time() - seconds + 60


def ago(seconds):
    return iso_of(time.time() - seconds)


def test_what_never_arrived_is_run_and_marked_as_pulled(shop, whop):
    event_id = whop.send(PAID, logged=FAILED, data={"id": "pay_7"})
    result = shop.pull("--yes")
    assert result.exit_code == 0, result.output
    assert shop.got == [event_id]
    stored = shop.get(event_id)
    assert (stored.origin, stored.state, stored.secret_index, stored.signer) == (Origin.PULLED, State.DONE, None, None)
    assert "1 processed" in result.output


def test_it_can_be_run_again_and_what_is_known_is_left_alone(shop, whop):
    whop.send(PAID, logged=FAILED)
    assert shop.arrive("msg_here") == 200
    whop.send(PAID, id="msg_here", logged={})
    shop.pull("--yes")
    again = shop.pull("--yes")
    assert len(shop.got) == 2
    assert "2 deliveries known" in again.output
    assert "Nothing was missed." in again.output


def test_what_is_delivered_after_it_was_pulled_is_a_duplicate(shop, whop):
    event_id = whop.send(PAID, logged=FAILED)
    shop.pull("--yes")
    assert shop.arrive(event_id) == 200
    assert shop.got == [event_id]


def test_of_several_attempts_of_a_delivery_one_is_run_and_the_earliest_delivery_comes_first(shop, whop):
    for event_id in ("msg_1", "msg_2", "msg_3", "msg_1", "msg_2"):
        whop.send(PAID, id=event_id, logged=FAILED)
    shop.pull("--yes")
    assert shop.got == ["msg_1", "msg_2", "msg_3"]


def test_what_failed_here_is_taken_over_with_its_signed_body_untouched(shop, whop):
    shop.fails.append(ValueError("not yet"))
    assert shop.arrive("msg_1") == 500
    signed_body = shop.get("msg_1").body
    whop.send(PAID, id="msg_1", logged=FAILED)
    result = shop.pull("--yes")
    stored = shop.get("msg_1")
    assert (stored.state, stored.origin, stored.owned) == (State.DONE, Origin.ARRIVED, True)
    assert stored.body == signed_body
    assert shop.got == ["msg_1"] * 2
    assert "1 processed" in result.output


@pytest.mark.parametrize("sent", ["lately", "so long ago that Whop has given up"])
def test_a_receiver_that_fails_ends_the_command_with_1_and_the_next_pull_tries_again(whop, tmp_path, sent):
    shop = Shop(whop, tmp_path, WHOP_RETRY_FIRST=0.01)
    remember(shop, 20 * DAY)
    event_id = whop.send(PAID, logged=FAILED if sent == "lately" else {**FAILED, "sent_at": ago(70 * 3600)})
    shop.fails.append(ValueError("not yet"))
    result = shop.pull("--yes")
    assert result.exit_code == 1
    assert event_id in result.output
    assert shop.get(event_id).owned, "Whop may never send it again"
    time.sleep(0.05)
    again = shop.pull("--yes")
    assert again.exit_code == 0
    # On a slow machine the first pull is still at it when the retry becomes due.
    assert "Run again, since they were due: 1 processed." in result.output + again.output
    assert shop.got == [event_id] * 2


def test_what_was_taken_over_and_failed_again_is_run_by_the_next_pull(whop, tmp_path):
    shop = Shop(whop, tmp_path, WHOP_RETRY_FIRST=0.01)
    shop.fails += [ValueError("no"), ValueError("no")]
    assert shop.arrive("msg_1") == 500
    whop.send(PAID, id="msg_1", logged=FAILED)
    assert shop.pull("--yes").exit_code == 1
    assert shop.arrive("msg_1") == 200, "it's ours now"
    time.sleep(0.05)
    shop.pull("--yes")
    assert shop.get("msg_1").state is State.DONE


@pytest.mark.parametrize("mode", ["worker", "after_response"])
def test_where_receivers_run_elsewhere_what_was_pulled_is_accepted(whop, tmp_path, mode):
    shop = Shop(whop, tmp_path, WHOP_DISPATCH=mode)
    event_id = whop.send(PAID, logged=FAILED)
    result = shop.pull("--yes")
    assert "1 accepted" in result.output
    run_due(shop.app)
    assert shop.got == [event_id]
    assert shop.get(event_id).origin is Origin.PULLED


def test_values_are_as_whop_sent_them_whatever_they_are(shop, whop):
    data = {"id": "pay_1", "note": "Überweisung \ud83d", "big": 12345678901234567890123, "fraction": 49.1}
    whop.add_row(shop.hook, {"id": "msg_1", "type": PAID, "data": data}, FAILED)
    shop.pull("--yes")
    assert json.loads(shop.get("msg_1").body)["data"] == data


def test_what_was_sent_before_the_store_began_is_left_alone_and_counted(shop, whop):
    whop.send(PAID, id="msg_old", logged={**FAILED, "sent_at": ago(2 * DAY)})
    result = shop.pull("--yes", "--since", "3d")
    assert shop.got == []
    assert result.exit_code == 0
    assert "1 delivery from before" in result.output
    assert "--force runs those that failed" in result.output


def test_forced_what_had_failed_is_run_and_what_had_been_delivered_only_with_all(shop, whop):
    whop.send(PAID, id="msg_failed", logged={**FAILED, "sent_at": ago(2 * DAY)})
    whop.send(PAID, id="msg_retried", logged={**FAILED, "sent_at": ago(2 * DAY)})
    whop.send(PAID, id="msg_retried", logged={"sent_at": ago(DAY)})
    asked = shop.pull("--since", "3d", "--force", input="n\n")
    assert asked.exit_code == 1
    assert "Run 1 delivery? 1 is from before this store remembers" in asked.output
    assert shop.got == []
    result = shop.pull("--since", "3d", "--force", "--yes")
    assert shop.got == ["msg_failed"]
    assert "1 delivery left alone that Whop had delivered before then; --all runs them" in result.output
    shop.pull("--since", "3d", "--force", "--all", "--yes")
    assert shop.got == ["msg_failed", "msg_retried"]


def test_what_was_delivered_before_the_store_began_is_not_run_whatever_was_tried_since(shop, whop):
    remember(shop, 3600)
    whop.send(PAID, id="msg_replayed", logged={"sent_at": ago(DAY)})
    whop.send(PAID, id="msg_replayed", logged={**FAILED, "replayed_from": "whdel_1"})
    whop.send(PAID, id="msg_beyond", logged={"sent_at": ago(5 * DAY)})
    whop.send(PAID, id="msg_beyond", logged={**FAILED, "replayed_from": "whdel_2"})
    whop.add_row(shop.hook, {"id": "msg_timeless", "type": PAID}, {"sent_at": None})
    result = shop.pull("--yes", "--since", "2d")
    assert shop.got == []
    assert "3 deliveries from before" in result.output


def test_forced_the_log_is_read_on_to_see_what_had_been_delivered(shop, whop):
    now = time.time()
    for hours, success in ((5, True), (1, False)):
        body = {"id": "msg_1", "type": PAID, "timestamp": iso_of(now - 6 * 3600), "data": {}}
        whop.add_row(shop.hook, body, {"success": success, "sent_at": ago(hours * 3600)})
    result = shop.pull("--yes", "--since", "2h", "--force")
    assert shop.got == []
    assert "1 delivery left alone that Whop had delivered before then" in result.output


def test_a_replay_at_whop_that_reached_nobody_does_not_hide_what_was_missed(shop, whop):
    remember(shop, 3600)
    event_id = whop.send(PAID, logged=FAILED)
    whop.send(PAID, id=event_id, logged={**FAILED, "replayed_from": "whdel_1"})
    shop.pull("--yes")
    assert shop.got == [event_id]


def test_a_short_look_back_does_not_count_as_a_pull(whop, tmp_path):
    shop = Shop(whop, tmp_path)
    remember(shop, 20 * DAY)
    event_id = whop.send(PAID, logged={**FAILED, "sent_at": ago(30 * 3600)})
    assert "Nothing was missed" in shop.pull("--yes", "--since", "10m").output
    shop.pull("--yes")
    assert shop.got == [event_id]


def test_each_delivery_has_an_app_context_of_its_own(shop, whop):
    seen = []

    @shop.whop_extension.on(PAID, name="cache")
    def cache(app, event):
        seen.append(g.setdefault("first", event.id) == event.id)

    for _ in range(3):
        whop.send(PAID, logged=FAILED)
    shop.pull("--yes")
    assert seen == [True] * 3


@pytest.mark.parametrize("odd", [1e308, float("inf"), float("nan"), 10**400, 1.7e12, 0, -1, "9999-99-99", [], True])
def test_a_time_that_is_none_stops_no_pull(shop, whop, odd):
    remember(shop, 20 * DAY)
    first = whop.send(PAID, logged=FAILED)
    whop.add_row(shop.hook, {"id": "msg_odd", "type": PAID, "timestamp": odd}, {**FAILED, "sent_at": odd})
    second = whop.send(PAID, logged=FAILED)
    result = shop.pull("--yes")
    assert result.exit_code == 0, result.output
    assert {first, second} <= set(shop.got)


def test_one_webhook_that_cannot_be_read_keeps_no_other_from_it(shop, whop):
    event_id = whop.send(PAID, logged=FAILED)
    installation = Installation.of(shop.app)
    with shop.app.app_context(), api_of(installation) as api:
        there = chosen(installation, api)
        gone = replace(there[0], id="hook_gone")
        with pytest.raises(ApiError, match="no such thing"):
            pull_all(installation, api, [gone, *there])
    assert shop.got == [event_id]


def test_what_whop_got_an_answer_for_and_the_store_lacks_is_run_where_the_store_remembers(shop, whop):
    event_id = whop.send(PAID, logged={})
    result = shop.pull("--dry-run")
    assert "never arrived, though Whop got an answer" in result.output
    shop.pull("--yes")
    assert shop.got == [event_id]


def test_what_was_pruned_is_not_run_a_second_time(whop, tmp_path):
    shop = Shop(whop, tmp_path)
    remember(shop, 20 * DAY)
    whop.send(PAID, id="msg_pruned", logged={"sent_at": ago(6 * DAY)})
    shop.app.test_cli_runner().invoke(args=["whop", "prune", "--days", "5"])
    shop.app.test_cli_runner().invoke(args=["whop", "prune", "--days", "9"])
    result = shop.pull("--yes", "--since", "7d")
    assert shop.got == []
    assert "1 delivery from before" in result.output


def test_the_log_is_read_no_further_back_than_asked(shop, whop):
    for day in range(1, 30):
        whop.send(PAID, logged={**FAILED, "sent_at": ago(day * DAY)})
    result = shop.pull("--yes", "--since", "50h", "--json")
    [report] = json.loads(result.output)
    assert (report["attempts"], report["too_old"]) == (2, 2)


def test_the_next_pull_begins_an_hour_before_the_last_one(shop, whop):
    shop.pull("--yes")
    whop.send(PAID, id="msg_late", logged={**FAILED, "sent_at": ago(1800)})
    whop.send(PAID, id="msg_long_ago", logged={**FAILED, "sent_at": ago(4000)})
    [report] = json.loads(shop.pull("--json", "--yes").output)
    assert report["attempts"] == 1


def test_in_memory_nothing_is_pulled(whop, tmp_path):
    shop = Shop(whop, tmp_path, WHOP_STORE="memory://")
    whop.send(PAID, logged=FAILED)
    result = shop.pull("--yes")
    assert result.exit_code == 1
    assert "The store is memory://, which doesn't know what ran before" in result.output
    assert shop.got == []


def test_under_test_the_store_may_be_memory(whop, tmp_path):
    shop = Shop(whop, tmp_path, TESTING=True)
    event_id = whop.send(PAID, logged=FAILED)
    shop.pull("--yes")
    assert shop.got == [event_id]


def test_rows_that_cannot_be_run_are_listed_and_cost_no_other(shop, whop):
    attempt = whop.add_row(shop.hook, {"id": "../msg", "type": PAID}, FAILED)
    whop.add_row(shop.hook, None, FAILED)
    event_id = whop.send(PAID, logged={**FAILED, "sent_at": None})
    result = shop.pull("--yes")
    assert shop.got == [event_id]
    assert "Without a usable id, and not run" in result.output
    assert attempt in result.output


def test_an_event_of_a_foreign_account_is_refused_as_it_would_be_on_arrival(whop, tmp_path):
    shop = Shop(whop, tmp_path, WHOP_ACCOUNTS="biz_mine")
    whop.add_row(shop.hook, {"id": "msg_1", "type": PAID, "company_id": "biz_other", "data": {}}, FAILED)
    result = shop.pull("--yes")
    assert result.exit_code == 0, "it isn't this app's, which is no failure"
    assert "rejected: foreign_account" in result.output
    assert shop.get("msg_1") is None


def test_a_dry_run_lists_and_runs_nothing(shop, whop):
    event_id = whop.send(PAID, logged=FAILED)
    result = shop.pull("--dry-run")
    assert result.exit_code == 0
    assert event_id in result.output
    assert "1 missed" in result.output
    assert (shop.got, shop.get(event_id)) == ([], None)


def test_what_was_missed_is_listed_with_the_last_answer_that_whop_got(shop, whop):
    whop.send(PAID, id="msg_1", logged=FAILED)
    whop.add_row(shop.hook, {"id": "msg_1", "type": PAID}, {"success": False, "response_code": 502})
    whop.send(PAID, id="msg_2", logged=FAILED)
    listed = {row[0]: row for line in shop.pull("--dry-run").output.splitlines() if (row := line.split())}
    assert listed["msg_1"][4:] == ["502", "never", "arrived"]
    assert listed["msg_2"][4:] == ["-", "never", "arrived"]
    [report] = json.loads(shop.pull("--dry-run", "--json").output)
    assert [(one["id"], one["answered"]) for one in report["missed"]] == [("msg_1", 502), ("msg_2", None)]


def test_several_are_run_when_confirmed(shop, whop):
    for _ in range(25):
        whop.send(PAID, logged=FAILED)
    declined = shop.pull(input="n\n")
    assert "Run 25 deliveries?" in declined.output
    assert "… and 5 more." in declined.output
    assert shop.got == []
    shop.pull(input="y\n")
    assert len(shop.got) == 25


def test_redeliver_has_whop_send_them_again(shop, whop, tmp_path):
    arrived = []
    shop.hook.url = "http://127.0.0.1:9/webhooks/whop"
    event_id = whop.send(PAID, logged=FAILED)
    refused = shop.pull("--yes", "--redeliver", "--webhook", shop.hook.id)
    assert refused.exit_code == 1
    assert "answered nothing" in refused.output
    whop.deliver = lambda hook, body, **_: arrived.append(body["id"]) or 200
    result = shop.pull("--yes", "--redeliver", "--webhook", shop.hook.id)
    assert result.exit_code == 0, result.output
    assert (arrived, shop.got) == ([event_id], [])
    assert "1 redelivered" in result.output


def test_both_webhooks_of_a_platform_are_pulled(shop, whop):
    second = whop.webhook(URL, ["refund.created"])
    whop.add_row(second, {"id": "msg_2", "type": PAID, "data": {}}, FAILED)
    event_id = whop.send(PAID, logged=FAILED)
    shop.pull("--yes")
    assert sorted(shop.got) == sorted([event_id, "msg_2"])


def test_a_disabled_webhook_brings_the_lists_that_have_the_rest(shop, whop):
    whop.disable(shop.hook)
    result = shop.pull("--yes")
    assert "is disabled: what happens until it's enabled again is in no log" in result.output
    assert "GET /payments" in result.output
    assert "payment:basic:read" in result.output


def test_more_than_thirty_days_are_in_no_log(shop):
    assert "Whop's log goes back 30 days" in shop.pull("--yes", "--since", "40d").output


def test_no_webhook_delivers_here(whop, tmp_path):
    whop.webhook("https://elsewhere.example/webhooks/whop", [PAID])
    shop = Shop(whop, tmp_path)
    result = shop.pull("--yes")
    assert result.exit_code == 1
    assert f"No webhook at Whop delivers to {URL}" in result.output


@pytest.mark.parametrize(
    ("args", "message"), [(["--all"], "--all goes with --force"), (["--json"], "--json can't ask")]
)
def test_options_that_cannot_work_say_why(shop, args, message):
    assert message in shop.pull(*args).output


def test_a_pull_on_its_own_tells_how_many_were_found(shop, whop, caplog):
    event_id = whop.send(PAID, logged=FAILED)
    told = []

    @deliveries_pulled.connect_via(shop.app)
    def count(app, webhook_id, found):
        told.append((webhook_id, found))

    installation = Installation.of(shop.app)
    with shop.app.app_context(), api_of(installation) as api, caplog.at_level(logging.WARNING):
        for _ in range(2):
            pull_all(installation, api, chosen(installation, api))
    assert shop.got == [event_id]
    assert told == [(shop.hook.id, 1), (shop.hook.id, 0)]
    assert "what hadn't arrived or wasn't finished: 1." in caplog.text


def test_a_payload_reaches_no_output_and_no_log(shop, whop, caplog):
    shop.fails.append(ValueError("no"))
    whop.send(PAID, logged=FAILED, data={"id": "pay_secret_customer"})
    with caplog.at_level(logging.DEBUG):
        result = shop.pull("--yes")
    assert "pay_secret_customer" not in result.output + caplog.text


def test_a_parts_size_is_bounded_and_each_is_in_order(shop, whop, monkeypatch):
    monkeypatch.setattr("flask_whop.reconcile.backlog._MOST_BYTES", 1)
    for number in range(3):
        whop.send(PAID, id=f"msg_{number}", logged={**FAILED, "sent_at": ago(-number)})
    shop.pull("--yes")
    assert sorted(shop.got) == ["msg_0", "msg_1", "msg_2"]


def test_the_listing_of_deliveries_shows_what_was_pulled(shop, whop):
    event_id = whop.send(PAID, logged=FAILED)
    shop.pull("--yes")
    shown = shop.app.test_cli_runner().invoke(args=["whop", "deliveries", "show", event_id])
    assert "pulled" in shown.output
    listed = shop.app.test_cli_runner().invoke(args=["whop", "deliveries", "--json"])
    assert json.loads(listed.output)[0]["origin"] == "pulled"


def test_sqlite_remembers_since_its_first_start(whop, tmp_path):
    first = Shop(whop, tmp_path)
    engine = Installation.of(first.app).engine
    began = engine.retention.remembers_since()
    with closing(Installation.of(Shop(whop, tmp_path).app).store) as again:
        assert again.note(engine.endpoint, "began") == began
