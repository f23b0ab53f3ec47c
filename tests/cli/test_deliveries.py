"""flask whop deliveries, work, prune: what people and scripts see."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from datetime import datetime

import pytest
from flask import Flask

from flask_whop import GiveUp, WhopWebhooks
from flask_whop.stores import Key, MemoryStore, Receipt, ReceiptState
from tests import ROOT
from tests.crash.driver import wait_until
from tests.shop import SECRET, Sender, new_app
from tests.stores import DURABLE, STORES, opened


class Shop:
    def __init__(self, app, store):
        self.app, self.store = app, store
        app.config["WHOP_WEBHOOK_SECRET"] = SECRET
        self.whop = WhopWebhooks(app, store=store)
        self.broken = True
        self.ran = []
        self.whop.on("payment.succeeded", name="mail")(self.mail)
        self.whop.on("payment.*", name="books")(lambda app, event: None)
        sender = Sender(self.app)
        sender.deliver("payment.succeeded", id="msg_failed")
        self.broken = False
        sender.deliver("payment.succeeded", id="msg_done")
        sender.deliver("refund.created", id="msg_refund", company_id="biz_2")

    def mail(self, app, event):
        if self.broken:
            raise ValueError("no mail today")
        self.ran.append(event.id)

    def run(self, *arguments, **how):
        return self.app.test_cli_runner().invoke(args=["whop", *arguments], **how)

    def ids(self, *options):
        return {one["id"] for one in json.loads(self.run("deliveries", "--json", *options).output)}


def give_up(app, event):
    raise GiveUp("never")


@pytest.fixture(params=STORES)
def shop(request, tmp_path):
    app = Flask("shop", instance_path=str(tmp_path))
    with opened(request.param, app) as store:
        yield Shop(app, store)


def test_deliveries_are_listed_in_columns(shop):
    result = shop.run("deliveries")
    assert result.exit_code == 0
    heading, *lines = result.output.splitlines()
    assert heading.split() == ["ID", "STATE", "TRIES", "TYPE", "RECEIVED", "(UTC)", "ACCOUNT"]
    assert {line.split()[0]: line.split()[1] for line in lines} == {
        "msg_failed": "failed",
        "msg_done": "done",
        "msg_refund": "done",
    }
    assert "\x1b" not in result.output


def test_deliveries_are_filtered(shop):
    assert shop.ids("--state", "failed") == {"msg_failed"}
    assert shop.ids("--state", "failed", "--state", "done") == {"msg_failed", "msg_done", "msg_refund"}
    assert shop.ids("--type", "payment.*") == {"msg_failed", "msg_done"}
    assert shop.ids("--account", "biz_2") == {"msg_refund"}
    assert shop.ids("--since", "2h") == {"msg_failed", "msg_done", "msg_refund"}
    assert len(shop.ids("--limit", "1")) == 1
    assert shop.run("deliveries", "--state", "dead").output == "There are no such deliveries.\n"


def test_a_time_that_is_none_is_explained(shop):
    result = shop.run("deliveries", "--since", "soon")
    assert result.exit_code == 2
    assert "write 90s, 30m, 2h or 7d" in result.output


def test_one_delivery_is_shown_with_its_receipts_and_what_was_raised(shop):
    output = shop.run("deliveries", "show", "msg_failed").output
    assert "msg_failed  payment.succeeded  failed" in output
    assert "retry     Whop's" in output
    assert "mail  failed" in output
    assert "books  done" in output
    assert "| ValueError: no mail today" in output
    receipts = json.loads(shop.run("deliveries", "show", "msg_failed", "--json").output)["receipts"]
    assert {one["receiver"]: one["state"] for one in receipts} == {"mail": "failed", "books": "done"}


def test_a_body_is_shown_when_it_is_asked_for_alone(shop):
    assert "data" not in shop.run("deliveries", "show", "msg_failed").output
    assert json.loads(shop.run("deliveries", "show", "msg_failed", "--body").output)["id"] == "msg_failed"


@pytest.mark.parametrize("shop", ["memory"], indirect=True)
def test_a_body_that_was_dropped_is_told(shop):
    result = shop.run("deliveries", "show", "msg_done", "--body")
    assert result.exit_code == 1
    assert result.output == (
        "Error: Its body was dropped when it was done: WHOP_KEEP_PAYLOADS is False, or the store is memory.\n"
    )


def test_a_delivery_that_is_not_there_is_a_sentence(shop):
    result = shop.run("deliveries", "show", "msg_none")
    assert result.exit_code == 1
    assert result.output.startswith("Error: There is no delivery msg_none.")


def test_a_replay_runs_the_receivers_that_are_not_done_and_no_others(shop):
    result = shop.run("deliveries", "replay", "msg_failed")
    assert (result.exit_code, shop.ran) == (0, ["msg_done", "msg_failed"])
    assert "1 of 1 delivery finished." in result.output
    assert shop.ids("--state", "failed") == set()


def test_a_replay_of_what_fails_again_says_so_and_is_ours_from_then_on(shop):
    shop.broken = True
    result = shop.run("deliveries", "replay", "msg_failed")
    assert result.exit_code == 1
    assert "0 of 1 delivery finished." in result.output
    assert "failed, and is called again  msg_failed" in result.output
    assert shop.ids("--state", "due") == {"msg_failed"}


def test_all_that_failed_is_replayed_after_asking(shop):
    shop.broken = True
    Sender(shop.app).deliver("payment.succeeded", id="msg_failed_too")
    shop.broken = False
    dry = shop.run("deliveries", "replay", "--failed", "--since", "2h", "--dry-run")
    assert "2 deliveries would be replayed." in dry.output
    assert shop.run("deliveries", "replay", "--failed", input="n\n").exit_code == 1
    assert shop.ids("--state", "failed") == {"msg_failed", "msg_failed_too"}
    result = shop.run("deliveries", "replay", "--failed", input="y\n")
    assert (result.exit_code, shop.ran) == (0, ["msg_done", "msg_failed", "msg_failed_too"])
    assert shop.run("deliveries", "replay", "--failed").output == "There is nothing to replay.\n"


@pytest.mark.parametrize("arguments", [[], ["msg_done", "--failed"]])
def test_a_replay_of_nothing_or_of_two_things_is_refused(shop, arguments):
    result = shop.run("deliveries", "replay", *arguments)
    assert result.exit_code == 2
    assert "use --failed" in result.output


def test_one_receiver_is_replayed_and_a_finished_one_only_by_force(shop):
    if isinstance(shop.store, MemoryStore):
        pytest.skip("a done delivery has no body here")
    refused = shop.run("deliveries", "replay", "msg_done", "--receiver", "mail")
    assert refused.exit_code == 1
    assert "only a forced replay runs it again" in refused.output
    forced = shop.run("deliveries", "replay", "msg_done", "--receiver", "mail", "--force")
    assert forced.exit_code == 0, forced.output
    assert shop.ran == ["msg_done"] * 2
    assert (
        "No receiver of delivery msg_done is called nobody"
        in shop.run("deliveries", "replay", "msg_done", "--receiver", "nobody", "--force").output
    )
    assert "--force goes with --receiver" in shop.run("deliveries", "replay", "msg_done", "--force").output


def test_deliveries_are_found_by_receiver_by_what_was_given_up_and_by_any_id(shop):
    shop.whop.on("dispute.created", name="alert")(give_up)
    Sender(shop.app).deliver("dispute.created", {"id": "dspt_1"}, id="msg_given_up")
    assert shop.ids("--given-up") == {"msg_given_up"}
    assert shop.ids("--receiver", "mail") == {"msg_failed", "msg_done"}
    assert shop.ids("--receiver", "mail", "--given-up") == set()
    assert shop.ids("--find", "dspt_1") == shop.ids("--find", "msg_given_up") == {"msg_given_up"}
    assert shop.ids("--find", "biz_2") == {"msg_refund"}


def test_times_are_iso_8601_in_json(shop):
    [one] = json.loads(shop.run("deliveries", "--json", "--find", "msg_done").output)
    received = datetime.fromisoformat(one["received_at"])
    assert abs(received.timestamp() - time.time()) < 60
    shown = json.loads(shop.run("deliveries", "show", "msg_done", "--json").output)
    assert datetime.fromisoformat(shown["receipts"][0]["last_at"]).tzinfo is not None


def test_what_is_erased_keeps_its_receipts_and_is_never_run_again(shop):
    assert "Name deliveries" in shop.run("deliveries", "erase", "--yes").output
    declined = shop.run("deliveries", "erase", "--account", "biz_1", input="n\n")
    assert declined.exit_code == 1
    erased = shop.run("deliveries", "erase", "--account", "biz_1", "--yes")
    assert "Erased the payloads of 2 deliveries." in erased.output
    assert shop.ids("--state", "done") == {"msg_failed", "msg_done", "msg_refund"}
    assert "no mail today" not in shop.run("deliveries", "show", "msg_failed").output
    shop.broken = False
    assert Sender(shop.app).deliver("payment.succeeded", id="msg_done").json == {"status": "duplicate"}
    assert shop.ran == ["msg_done"]


def test_old_deliveries_are_pruned_and_never_sooner_than_whop_retries(shop):
    assert shop.run("prune").output == "Deleted 0 deliveries unchanged for 30 days.\n"
    for none in ("3", "nan", "inf", "-inf"):
        assert shop.run("prune", "--days", none).exit_code == 2
    shop.store.clock = lambda: time.time() + 9 * 86_400
    assert shop.run("prune", "--days", "8").output == "Deleted 3 deliveries unchanged for 8 days.\n"


def test_work_once_runs_what_is_due(shop):
    with shop.app.app_context():
        assert shop.store.replay(Key("shop", "msg_failed"))
    result = shop.run("work", "--once")
    assert (result.exit_code, result.output) == (0, "Ran 1 delivery: 1 processed.\n")
    assert shop.ran == ["msg_done", "msg_failed"]
    assert shop.run("work", "--once").output == "Ran 0 deliveries.\n"


@pytest.mark.parametrize("shop", ["memory"], indirect=True)
def test_work_leaves_the_signals_of_its_process_as_it_found_them(shop):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    shop.run("work", "--once")
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_a_triggered_event_is_among_the_deliveries(shop):
    answers = json.loads(shop.run("trigger", "payment.succeeded", "--in-process", "--duplicate", "--json").output)
    assert [answer["status"] for answer in answers] == ["processed", "duplicate"]
    assert answers[0]["delivery_id"] in shop.ids("--state", "done")


def test_init_db_finds_the_tables_there_or_has_nothing_to_do(shop):
    result = shop.run("init-db")
    assert result.exit_code == 0
    assert result.output in (
        "The tables are ready.\n",
        "Nothing to do: this store creates what it needs when the app starts.\n",
    )


def test_the_doctor_finds_nothing_wrong_but_a_memory_that_forgets(shop):
    result = shop.run("doctor", "--json")
    told = json.loads(result.stdout)
    found = {finding["id"] for check in told["checks"] for finding in check["findings"]}
    assert (result.exit_code, found) == (0, {"W202"} if isinstance(shop.store, MemoryStore) else set())
    assert "1 failed, 2 done" in result.stdout


def test_a_call_that_has_not_ended_is_shown_as_such(shop):
    key = Key("shop", "msg_failed")
    with shop.app.app_context():
        shop.store.replay(key)
        shop.store.take(key, "token", 30.0)
        shop.store.record(key, "token", Receipt("mail", ReceiptState.STARTED, 2, 1.0, 2.0, None, None), None)
    output = shop.run("deliveries", "show", "msg_failed").output
    assert "msg_failed  payment.succeeded  running" in output
    assert "mail  started, not finished" in output
    replayed = shop.run("deliveries", "replay", "msg_failed")
    assert replayed.exit_code == 1
    assert "can't be replayed: it's running now, or its payload is gone.  msg_failed" in replayed.output


@pytest.mark.parametrize("shop", [name for name in DURABLE if name != "SQLite"], indirect=True)
def test_tables_that_are_missing_are_told_with_the_way_to_make_them(shop, caplog):
    store = shop.store
    with shop.app.app_context():
        store.metadata.drop_all(store._engine)
    for arguments in (["deliveries"], ["deliveries", "show", "msg_done"], ["prune"], ["work", "--once"]):
        result = shop.run(*arguments)
        assert (result.exit_code, "Make them with `flask whop init-db`" in result.output) == (1, True), arguments
    assert "Make them with `flask whop init-db`" in shop.run("doctor").output
    assert Sender(shop.app).deliver("payment.succeeded").status_code == 503
    assert "Make them with `flask whop init-db`" in caplog.text
    assert shop.run("init-db").output == "The tables are ready.\n"
    assert Sender(shop.app).deliver("payment.succeeded").status_code == 200


@pytest.mark.parametrize("shop", ["memory"], indirect=True)
@pytest.mark.parametrize("command", ["deliveries", "work", "prune", "init-db"])
def test_every_command_has_help_that_ends_in_an_example(shop, command):
    result = shop.run(command, "--help")
    assert result.exit_code == 0
    assert f"flask whop {command}" in result.output.partition("Example:")[2]


# A real terminal, and a real process.

APP = """
import time
from datetime import datetime
from flask import Flask
from flask_whop import GiveUp, WhopWebhooks
from flask_whop.stores import Key, MemoryStore, Receipt, ReceiptState

def create_app():
    app = Flask("shop", instance_path={folder!r})
    app.config.update(WHOP_WEBHOOK_SECRET={secret!r}, WHOP_DISPATCH="worker")
    WhopWebhooks(app).on("payment.succeeded", name="mail")(lambda app, event: None)
    return app
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "cli_shop.py").write_text(APP.format(folder=str(tmp_path), secret=SECRET))
    return tmp_path


def flask_command(project, *arguments, **how):
    environment = os.environ | {"PYTHONPATH": f"{project}:{ROOT}", "COLUMNS": "100"}
    return subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "cli_shop:create_app", "whop", *arguments],
        env=environment,
        cwd=project,
        **how,
    )


def in_terminal(project, *arguments, until=None):
    """Run a command in a real terminal, and return what it showed."""
    controller, terminal = pty.openpty()
    process = flask_command(project, *arguments, stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    shown = b""
    stopped = False
    while True:
        try:
            read = os.read(controller, 4096)
        except OSError:
            break
        shown += read
        if until and until in shown and not stopped:
            stopped = True
            process.send_signal(signal.SIGTERM)
        if not read:
            break
    os.close(controller)
    return process.wait(30), shown.decode()


def accept(project, count):
    app = new_app(project, WHOP_DISPATCH="worker")
    WhopWebhooks(app)
    for number in range(count):
        assert Sender(app).deliver("payment.succeeded", id=f"msg_{number}").json["status"] == "accepted"


def test_work_on_a_terminal_shows_one_line_and_stops_cleanly_on_sigterm(project):
    accept(project, 20)
    code, shown = in_terminal(project, "work", until=b"20 processed")
    assert code == 0
    assert "\r\x1b[K" in shown
    assert "Ran 20 deliveries: 20 processed. 0 due, 0 running" in shown
    assert "Traceback" not in shown


def test_work_once_in_a_pipe_says_what_it_did_in_plain_words(project):
    accept(project, 5)
    process = flask_command(project, "work", "--once", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (0, "Ran 5 deliveries: 5 processed.\n"), errors


def test_a_worker_that_is_told_to_stop_finishes_what_it_runs(project):
    (project / "cli_shop.py").write_text(
        APP.format(folder=str(project), secret=SECRET).replace(
            "(lambda app, event: None)",
            "(lambda app, event: (open('started', 'w').close(), time.sleep(2), open('ended', 'w').close()))",
        )
    )
    accept(project, 1)
    process = flask_command(project, "work", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until((project / "started").exists, "the receiver to start", str)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert (project / "ended").exists()
    assert output.endswith("Ran 1 delivery: 1 processed.\n")


def test_deliveries_on_a_terminal_are_in_colour_and_fit_its_width(project):
    accept(project, 3)
    code, shown = in_terminal(project, "deliveries")
    assert code == 0
    assert "\x1b[1mID" in shown
    assert all(len(line) <= 110 for line in shown.splitlines())


COMMANDS = [
    ["--help"],
    ["events"],
    ["events", "payment.succeeded"],
    ["trigger", "payment.succeeded", "--in-process", "--times", "60"],
    ["deliveries", "--state", "due"],
    ["deliveries", "show", "msg_0"],
    ["prune"],
    ["init-db"],
    ["work", "--once"],
    ["deliveries", "replay", "msg_0"],
]


def test_every_command_in_a_terminal_and_in_a_pipe(project):
    accept(project, 1)
    for arguments in COMMANDS:
        code, shown = in_terminal(project, *arguments)
        assert code == 0, shown
        process = flask_command(project, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert "\x1b" not in output + errors, arguments
        assert "Traceback" not in shown + output + errors
        assert output.strip(), arguments
