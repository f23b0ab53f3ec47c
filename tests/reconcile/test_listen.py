"""``flask whop listen`` in a real terminal: real events come to this machine, each once."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import threading
import time
from datetime import datetime, timezone
from email.utils import format_datetime

import pytest

from flask_whop.api.records import LoggedAttempt
from flask_whop.cli.sending import NoAnswerInTime, over_http
from flask_whop.engine.posting import send
from flask_whop.reconcile.follow import Follower
from flask_whop.testing import signed
from tests.api.test_api import Time
from tests.reconcile.processes import end, is_free, until
from tests.services import only_in_the_gate
from tests.shop import SECRET

PAID = "payment.succeeded"
ELSEWHERE = "https://shop.example/webhooks/whop"


class Terminal:
    """A terminal in which a command runs, and what it shows."""

    def __init__(self, site, *arguments):
        self.controller, inside = pty.openpty()
        self.process = site.command(*arguments, stdin=inside, stdout=inside, stderr=inside, start_new_session=True)
        os.close(inside)
        self.text = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        while self.process.poll() is None or select.select([self.controller], [], [], 0.1)[0]:
            try:
                self.text += os.read(self.controller, 65536).decode("utf-8", "replace")
            except OSError:
                return

    @property
    def shown(self):
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.text)

    def type(self, keys):
        os.write(self.controller, keys.encode())

    def wait_for(self, text, seconds=30):
        until(lambda: text in self.shown or self.process.poll() is not None, seconds)
        assert text in self.shown, self.shown

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self._reader.join(5)
        os.close(self.controller)


@pytest.fixture
def terminal(site):
    opened = []

    def start(*arguments):
        opened.append(Terminal(site, "listen", *arguments))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def test_each_event_comes_once_under_load_and_with_the_app_restarted_in_between(whop, site, terminal):
    only_in_the_gate("takes half a minute")
    hook = whop.webhook(ELSEWHERE, [PAID])
    whop.send(PAID, logged={}, id="msg_before")
    server = site.serve()
    listening = terminal("--webhook", hook.id, "--url", site.url)
    listening.wait_for("Real people's data will come to this machine. Go on?")
    listening.type("y\n")
    listening.wait_for("CODE")
    sent = []
    for number in range(240):
        sent.append(whop.send(PAID, logged={}))
        if number % 7 == 0:  # Whop's own retries are rows of the same delivery
            whop.send(PAID, id=sent[-1], logged={"success": False})
        if number == 60:
            end(server)
            until(lambda: is_free(site.port))
        if number == 180:
            listening.wait_for("Waiting for it.")
            server = site.serve()
        time.sleep(0.02)
    late = whop.add_row(hook, {"id": "msg_late", "type": PAID, "data": {}}, late=3)
    assert late
    until(lambda: len(site.arrived()) >= 241, 60)
    time.sleep(6)  # one more look, which must bring nothing
    assert sorted(site.arrived()) == sorted([*sent, "msg_late"])
    assert site.arrived()[:240] == sent, "in Whop's order"
    listening.type("r")
    until(lambda: listening.shown.count("duplicate") == 1)
    os.killpg(listening.process.pid, signal.SIGINT)
    listening.wait_for("Sent 242 deliveries: 242 answered 2xx, 0 otherwise.")
    assert whop.key not in listening.text


def test_what_was_last_comes_first_where_it_is_asked_for_and_the_rest_is_filtered(whop, site, terminal):
    hook = whop.webhook(ELSEWHERE, [PAID, "refund.created"])
    for number in range(5):
        whop.send(PAID, logged={}, id=f"msg_{number}")
    site.serve()
    listening = terminal("--url", site.url, "--replay-last", "2", "--only", "payment.*", "--yes")
    listening.wait_for("msg_4")
    whop.send("refund.created", logged={})
    last = whop.send(PAID, logged={})
    until(lambda: last in site.arrived())
    assert site.arrived() == ["msg_3", "msg_4", last]
    assert hook.id in listening.shown


def test_a_webhook_is_chosen_from_a_list_and_a_disabled_one_is_said_to_be(whop, site, terminal):
    whop.webhook("https://other.example/hook", [PAID])
    whop.disable(whop.webhook(ELSEWHERE, [PAID]))
    listening = terminal("--url", site.url)
    listening.wait_for("Listen to no.")
    assert "https://other.example/hook" in listening.shown
    listening.type("1\n")
    listening.wait_for("It's disabled at Whop, so nothing new will come.")
    listening.type("n\n")
    listening.wait_for("Aborted")


def test_without_a_terminal_the_webhooks_are_listed_and_one_has_to_be_named(whop, site):
    hooks = [whop.webhook(ELSEWHERE, [PAID]), whop.webhook("https://other.example/hook", [PAID])]
    listening = site.command("listen", "--yes", stdin=-3)
    output = listening.communicate(timeout=30)[0].decode()
    assert all(hook.id in output for hook in hooks)
    assert "Say which of these webhooks with --webhook" in output
    assert listening.returncode != 0


def test_for_a_script_each_delivery_is_a_line_of_json_and_nothing_is_asked(whop, site):
    hooks = [whop.webhook(ELSEWHERE, [PAID]), whop.webhook("https://other.example/hook", [PAID])]
    for arguments, advice in (((), b"--webhook"), (("--webhook", hooks[0].id), b"--json can't ask: pass --yes")):
        output, _ = site.command("listen", "--json", *arguments, stdin=-3).communicate(timeout=30)
        assert advice in output
        assert b"delivers to" not in output
    for number in range(2):
        whop.send(PAID, logged={}, id=f"msg_{number}")
    site.serve()
    options = ("--webhook", hooks[0].id, "--url", site.url, "--replay-last", "2", "--yes", "--json")
    listening = site.command("listen", *options, stdin=-3, stderr=subprocess.PIPE, start_new_session=True)
    lines = [json.loads(listening.stdout.readline()) for _ in range(2)]
    os.killpg(listening.pid, signal.SIGINT)
    rest, told = listening.communicate(timeout=30)
    assert [(line["delivery_id"], line["type"], line["code"], line["status"]) for line in lines] == [
        (f"msg_{number}", PAID, 200, "processed") for number in range(2)
    ]
    assert all(line["late"] >= 0 and line["at"] > 0 and line["milliseconds"] > 0 for line in lines)
    assert rest == b""
    assert b"Sent 2 deliveries: 2 answered 2xx, 0 otherwise." in told


def test_a_rate_limit_slows_it_down_and_a_lost_permission_ends_it(whop, site, terminal):
    only_in_the_gate("waits for several looks")
    hook = whop.webhook(ELSEWHERE, [PAID])
    site.serve()
    listening = terminal("--url", site.url, "--webhook", hook.id, "--yes")
    listening.wait_for("CODE")
    whop.disturb("list_deliveries", "rate_limited", times=2)
    event_id = whop.send(PAID, logged={})
    until(lambda: event_id in site.arrived())
    assert "it answers 429; trying again in 2 s" in listening.shown
    whop.permissions.clear()
    listening.wait_for("developer:manage_webhook")
    assert listening.process.wait(10) == 1


class Log:
    """A log that is set by hand."""

    def __init__(self):
        self.rows = []
        self.read = 0
        self.date = None

    def log(self, webhook_id):
        for row in sorted(self.rows, key=lambda row: -(row.sent_at or 0)):
            self.read += 1
            yield row


def attempt(number, sent_at, name="msg"):
    envelope = {"id": f"{name}_{number}", "type": PAID}
    return LoggedAttempt(f"whdel_{name}_{number}", PAID, sent_at, success=True, response_code=200, envelope=envelope)


def test_rows_that_appear_late_are_found_within_a_minute_and_each_look_reads_little():
    clock, log = Time(), Log()
    follower = Follower(log, "hook_1", clock=clock)
    log.rows += [attempt(number, clock() - 2000 + number) for number in range(2000)]
    follower.begin()
    log.read = 0
    clock.now += 5
    log.rows.append(attempt(1, clock() - 1, "new"))
    assert [each.delivery_id for each in follower.look()] == ["new_1"]
    assert log.read < 50
    log.rows.append(attempt(2, clock() - 400, "late"))
    assert follower.look() == []
    clock.now += 60
    assert [each.delivery_id for each in follower.look()] == ["late_2"]
    assert follower.look() == []


def test_the_last_ones_are_as_many_as_are_asked_for_however_few_there_are():
    clock, log = Time(), Log()
    log.rows += [attempt(number, clock() - 10 + number) for number in range(4)]
    for wanted, found in ((5, 4), (4, 4), (2, 2), (0, 0)):
        assert len(Follower(log, "hook_1", clock=clock).begin(wanted)) == found


@pytest.mark.parametrize("ahead", [-5000, -40, 40, 5000])
def test_this_machines_clock_does_not_matter(ahead):
    clock, log = Time(), Log()
    whops = clock() - ahead
    log.rows.append(attempt(1, whops - 100))
    log.date = format_datetime(datetime.fromtimestamp(whops, tz=timezone.utc))
    follower = Follower(log, "hook_1", clock=clock)
    follower.begin()
    for number in range(2, 6):
        clock.now += 5
        log.rows.append(attempt(number, whops + number))
        log.date = format_datetime(datetime.fromtimestamp(whops + number, tz=timezone.utc))
        assert [each.delivery_id for each in follower.look()] == [f"msg_{number}"]


def test_an_app_that_takes_too_long_gets_an_event_once(site, monkeypatch):
    monkeypatch.setattr("flask_whop.cli.sending._TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", site.port)) as silent:
        post = over_http(f"{site.url}?a=b")
        with pytest.raises(NoAnswerInTime, match="no answer within"):
            send(signed({"id": "msg_1", "type": PAID}, SECRET), post)
        client, _ = silent.accept()
        with client:
            assert client.recv(9999).startswith(b"POST /webhooks/whop?a=b HTTP/1.1")


def test_a_row_from_the_far_future_hides_no_other():
    clock, log = Time(), Log()
    follower = Follower(log, "hook_1", clock=clock)
    follower.begin()
    log.rows.append(attempt(1, clock() + 1e9, "future"))
    assert len(follower.look()) == 1
    clock.now += 5
    log.rows.append(attempt(2, clock()))
    assert [each.delivery_id for each in follower.look()] == ["msg_2"]
