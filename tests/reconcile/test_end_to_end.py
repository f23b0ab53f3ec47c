"""An app that is killed, restarted and away for long has every event's effect once, after a pull."""

from __future__ import annotations

import signal
import sqlite3
import threading
import time
from contextlib import closing

from tests.reconcile.processes import Site, end, is_free, until
from tests.services import only_in_the_gate
from tests.shop import SECRET

PAID = "payment.succeeded"
EVENTS = 500


def booked(site):
    with closing(sqlite3.connect(site.folder / "books.sqlite3")) as connection:
        return [event_id for (event_id,) in connection.execute("SELECT event_id FROM booking")]


def test_a_pull_brings_in_exactly_what_was_missed_and_each_effect_happens_once(whop, tmp_path):
    only_in_the_gate("sends 500 events to servers that are killed")
    site = Site(tmp_path, whop, "tests.reconcile.books:create_app")
    try:
        server = site.serve()
        hook = whop.webhook(site.url, [PAID], secret=SECRET)
        sent = []

        def send():
            for number in range(EVENTS):
                sent.append(whop.send(PAID))
                if number % 50 == 49:
                    whop.retry()  # as Whop does, for what has failed so far
                time.sleep(0.002)

        sender = threading.Thread(target=send)
        sender.start()
        for killed_at in (60, 150, 240):
            until(lambda at=killed_at: len(sent) >= at, 120)
            # The whole server at once, with its workers in the middle of something.
            for process in site.children(server):
                process.send_signal(signal.SIGKILL)
            end(server, signal.SIGKILL)
            until(lambda: is_free(site.port))
            if killed_at < 240:
                server = site.serve()
        sender.join()  # away for longer than Whop's retries
        until(lambda: not site.children(server))
        missing = set(sent) - set(booked(site))
        assert len(missing) >= EVENTS - 250
        server = site.serve()  # arrivals go on meanwhile
        late = [whop.send(PAID) for _ in range(5)]
        pulled = site.command("pull", "--webhook", hook.id, "--yes", "--json")
        output = pulled.communicate(timeout=300)[0].decode()
        assert pulled.returncode == 0, output
        assert {row["id"] for report in site.json(output) for row in report["missed"]} == missing
        assert sorted(booked(site)) == sorted([*sent, *late])
        again = site.command("pull", "--webhook", hook.id, "--yes", "--json").communicate(timeout=300)[0].decode()
        assert [report["missed"] for report in site.json(again)] == [[]]
        whop.retry()
        assert sorted(booked(site)) == sorted([*sent, *late])
        end(server)
    finally:
        site.close()
