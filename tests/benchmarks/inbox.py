"""How long each view of the inbox takes on a full store, and whether answers to Whop are slower meanwhile.

    python -m tests.benchmarks.inbox [--deliveries 1000000] [--store PostgreSQL] [--times 15] [--sent 600]

The store has so many deliveries, of which 1 in 500 isn't done; each has two receipts. Views
are asked for in turns through gunicorn, and so are deliveries: every other hundred while
somebody looks at one page after the other, twice a second.
"""

from __future__ import annotations

import argparse
import http.client
import os
import sys
import threading
import time
from collections.abc import Iterator
from urllib.parse import quote

from flask import Flask

from flask_whop.engine.activity import HOUR
from flask_whop.engine.installation import Installation
from flask_whop.stores import Key, Tally
from flask_whop.stores.sql import SqlStore
from tests.benchmarks.common import (
    BODY,
    EVENT,
    PATH,
    TURN,
    accepts,
    app_with,
    databases,
    in_turns,
    new_id,
    percentile,
    process,
    say_where,
    signed_headers,
    table,
    wait_until,
)
from tests.services import free_port

SPAN = 30 * 24 * 3600.0
TYPES = (EVENT, "payment.succeeded", "payment.failed", "refund.created", "membership.activated", "dispute.created")
ACCOUNTS = 200

VIEWS = {
    "the latest": "/",
    "live": "/live",
    "needs attention": "/?state=attention",
    "dead": "/?state=dead",
    "done": "/?state=done",
    "a type": "/?type=dispute.created",
    "a family": "/?type=payment.*",
    "an account": "/?account=biz_77",
    "a resource": "/?resource=payment:pay_777",
    "a receiver": "/?receiver=receiver+0",
    "a receiver that has none": "/?receiver=nobody",
    "what a receiver gave up": "/?receiver=books&receipt=given_up",
    "a day": "/?since={day}&until={next_day}",
    "how an id begins": "/?q=msg_77",
    "how a resource begins": "/?q=pay_777",
    "how an account begins": "/?q=biz_7",
    "how nothing begins": "/?q=nothing",
    "a short beginning": "/?q=msg_",
    "account and type": "/?account=biz_77&type=refund.created",
    "account, type and day": "/?account=biz_77&type=payment.*&since={day}",
    "account and state": "/?account=biz_77&state=attention",
    "state and type": "/?state=done&type=dispute.created",
    "beginning and state": "/?q=pay_7&state=done",
    "an older page": "/?cursor={cursor}",
    "one delivery": "/deliveries/msg_777",
    "its payload": "/deliveries/msg_777?payload=tree",
    "health, a day": "/health",
    "health, a week": "/health?span=week",
}


def create_app() -> Flask:
    """The app of a server."""
    app = app_with(os.environ["WHOP_BENCH_STORE"])
    app.extensions["whop"].inbox(authorize=lambda: True)
    return app


def fill(app: Flask, deliveries: int) -> None:
    """Copy one delivery, with its receipts, as often as asked, over 30 days; and count a week for the charts."""
    store = Installation.of(app).store
    assert isinstance(store, SqlStore)
    client = app.test_client()
    first = signed_headers("msg_first", BODY)
    assert client.post(PATH, data=BODY, headers=first, content_type="application/json").status_code == 200
    now, names = store.clock(), store._statements._names
    joined = "CONCAT('{}', {})" if store._statements.returns is False else "'{}' || ({})"
    numbers = (
        "WITH RECURSIVE thousand(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM thousand WHERE i < 999) "
        "SELECT {} FROM {}, (SELECT 1000 * a.i + b.i AS n FROM thousand AS a, thousand AS b"
        f" WHERE 1000 * a.i + b.i < {deliveries}) AS numbers WHERE {{}} = 'msg_first'"
    )
    state = "CASE WHEN n % 500 = 0 THEN CASE WHEN n % 1000 = 0 THEN 'dead' ELSE 'failed' END ELSE 'done' END"
    kinds = " ".join(f"WHEN {number} THEN '{name}'" for number, name in enumerate(TYPES[:-1]))
    event_type = f"CASE WHEN n % 997 = 0 THEN '{TYPES[-1]}' ELSE CASE n % {len(TYPES) - 1} {kinds} END END"
    own = {
        "id": joined.format("msg_", "n"),
        "event_type": event_type,
        "account_id": joined.format("biz_", f"n % {ACCOUNTS}"),
        "resource": joined.replace("'{}'", "CAST(:pay AS CHAR(12))").format("n"),
        "state": state,
        "received_at": f"{now - SPAN} + n * {SPAN / deliveries}",
        "changed_at": f"{now - SPAN} + n * {SPAN / deliveries}",
    }
    columns = [column.strip() for column in _columns(store, names.deliveries)]
    chosen = ", ".join(own.get(column, column) for column in columns)
    store._change(
        f"INSERT INTO {names.deliveries} ({', '.join(columns)}) {numbers.format(chosen, names.deliveries, 'id')}",
        {"pay": "payment:pay_"},
    )
    for receiver in ("receiver 0", "books"):
        mine = {"delivery_id": joined.format("msg_", "n"), "receiver": f"'{receiver}'"}
        if receiver == "receiver 0":
            mine["state"] = (
                "CASE WHEN n % 500 = 0 THEN CASE WHEN n % 1000 = 0 THEN 'dead' ELSE 'failed' END ELSE 'done' END"
            )
        else:
            mine["state"] = "CASE WHEN n % 9973 = 0 THEN 'given_up' ELSE 'done' END"
        columns = _columns(store, names.receipts)
        chosen = ", ".join(mine.get(column, column) for column in columns)
        store._change(
            f"INSERT INTO {names.receipts} ({', '.join(columns)})"
            f" {numbers.format(chosen, names.receipts, 'delivery_id')} AND receiver = 'receiver 0'",
            {},
        )
    endpoint, last = Installation.of(app).engine.endpoint, int(now // HOUR)
    for hour in range(last - 168, last + 1):
        counts = {Tally(hour, "happening", name): 50 for name in ("done", "failed", "rejected", "duplicated", "dead")}
        counts |= {Tally(hour, "seconds", str(number)): 9 for number in range(20, 50)}
        counts |= {
            Tally(hour, f"call {outcome}", f"r {each}"): 5 for outcome in ("done", "failed") for each in range(9)
        }
        store.tally(endpoint, counts)


def _columns(store: SqlStore, name: str) -> list[str]:
    if "whop_" in name and type(store).__name__ == "SqliteStore":
        return [str(row[0]) for row in store._select(f"SELECT name FROM pragma_table_info('{name}')", {})]
    rows = store._select(
        "SELECT column_name FROM information_schema.columns WHERE table_name = :name AND table_schema IN (DATABASE())"
        if not store._statements.returns
        else "SELECT column_name FROM information_schema.columns WHERE table_name = :name",
        {"name": name.strip('"`')},
    )
    return [str(row[0]) for row in rows]


class Browser:
    """Asks a server for pages, and delivers to it, by one connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def look(self, path: str) -> Iterator[float]:
        """Ask for a page again and again; the seconds that each answer took."""
        while True:
            started = time.perf_counter()
            self._connection.request("GET", f"/whop{path}")
            answer = self._connection.getresponse()
            content = answer.read()
            yield time.perf_counter() - started
            assert answer.status == 200, (path, answer.status, content)

    def deliver(self) -> float:
        """Deliver once; how many seconds the answer took."""
        headers = {"content-type": "application/json", **signed_headers(new_id())}
        started = time.perf_counter()
        self._connection.request("POST", PATH, BODY, headers)
        answer = self._connection.getresponse()
        answer.read()
        assert answer.status == 200
        return time.perf_counter() - started


def deliveries_while(port: int, paths: list[str] | None) -> Iterator[float]:
    """Deliver a hundred times, while somebody looks at pages, if there are ``paths``."""
    browser = Browser(port)
    while True:
        over = threading.Event()
        looker = threading.Thread(target=look_around, args=(port, paths or [], over))
        looker.start()
        taken = [browser.deliver() for _ in range(TURN)]
        over.set()
        looker.join()
        yield from taken


def look_around(port: int, paths: list[str], over: threading.Event) -> None:
    """Look at one page after the other, twice a second."""
    browser = Browser(port)
    while paths and not over.is_set():
        for path in paths:
            next(browser.look(path))
            if over.wait(0.5):
                return


def main() -> None:
    """Fill a store, measure, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deliveries", type=int, default=1_000_000)
    parser.add_argument("--store", default="PostgreSQL")
    parser.add_argument("--times", type=int, default=15)
    parser.add_argument("--sent", type=int, default=600)
    asked = parser.parse_args()
    say_where()
    with databases() as made:
        os.environ["WHOP_BENCH_STORE"] = url = made.new(asked.store)
        app = create_app()
        started = time.monotonic()
        fill(app, asked.deliveries)
        print(
            f"{asked.store}: {asked.deliveries:,} deliveries made in {time.monotonic() - started:.0f} s\n", flush=True
        )
        day = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(time.time() - SPAN / 2))
        next_day = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(time.time() - SPAN / 2 + 86_400))
        with app.app_context():
            cursor = app.extensions["whop"].deliveries.find(limit=200).cursor
            assert Installation.of(app).store.get(Key(Installation.of(app).engine.endpoint, "msg_777"))
        paths = {
            name: path.format(day=quote(day), next_day=quote(next_day), cursor=cursor) for name, path in VIEWS.items()
        }
        port = free_port()
        gunicorn = ("gunicorn", "--workers=2", "--threads=4", f"--bind=127.0.0.1:{port}")
        with process(*gunicorn, "tests.benchmarks.inbox:create_app()", store=url, dispatch="inline"):
            wait_until(lambda: accepts(port))
            rows = []
            for name, path in paths.items():
                looked = Browser(port).look(path)
                taken = [next(looked) for _ in range(asked.times + 2)][2:]
                rows.append((name, f"{percentile(taken, 50) * 1e3:.1f} ms", f"{max(taken) * 1e3:.1f} ms"))
                print(".", end="", file=sys.stderr, flush=True)
            print(file=sys.stderr)
            table((asked.store, "median", "longest"), rows)
            print()
            runs = {
                "nobody looks": deliveries_while(port, None),
                "somebody looks": deliveries_while(port, [*paths.values()]),
            }
            answered = in_turns(runs, asked.sent)
            table(
                ("deliveries while", "p50", "p95"),
                [
                    (name, f"{percentile(taken, 50) * 1e3:.2f} ms", f"{percentile(taken, 95) * 1e3:.2f} ms")
                    for name, taken in answered.items()
                ],
            )


if __name__ == "__main__":
    main()
