"""How fast ``flask whop work`` runs what is due, and how soon.

    python -m tests.benchmarks.workers [--seconds 5] [--samples 40] [--due 20000] [--done 200000] [--stores …]

Rate: a worker with 4 threads, as a process of its own, and a receiver that does nothing
but note the time. At first with 2,000 due, which is no backlog to speak of, then with
20,000 due beside 200,000 that are done. What is there is one real delivery, multiplied in
the database. The rate is that between a tenth of the calls and the last one, so that
starting is left out; the worker is told to stop after some seconds.

Latency: the time from the answer of the app, in this process, to the receiver's call in
an idle worker; the pauses between deliveries are random.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any

import psycopg

from tests.benchmarks.common import (
    BODY,
    Databases,
    app_with,
    connected_to_mariadb,
    databases,
    deliver,
    environ_of,
    environs,
    new_id,
    percentile,
    say_where,
    signed_headers,
    table,
    wait_until,
    worker,
)

IDS = ("id", "delivery_id")
"""The columns that hold a delivery's id."""


class Plain:
    """A database by its plain driver, for what no app does."""

    def __init__(self, store: str) -> None:
        self.kind = store.partition(":")[0]
        if self.kind == "sqlite":
            self._connection: Any = sqlite3.connect(store.removeprefix("sqlite:///"), isolation_level=None, timeout=30)
        elif self.kind == "postgresql":
            self._connection = psycopg.connect(store, autocommit=True)
        else:
            self._connection = connected_to_mariadb(store)

    def run(self, statement: str) -> Any:
        """Run a statement; its cursor."""
        cursor = self._connection.cursor()
        cursor.execute(statement)
        return cursor

    def number(self, statement: str) -> int:
        """The number that a statement tells."""
        return int(self.run(statement).fetchone()[0])

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def multiply(self, delivery_id: str, times: int) -> None:
        """Write everything that is known of a delivery again and again, with other ids and a little earlier."""
        if self.kind == "mysql":
            self.run(f"SET SESSION max_recursive_iterations = {times + 1}")
        for name in ("whop_deliveries", "whop_receipts", "whop_bodies"):
            with suppress(Exception):  # a table that is not there
                self._multiply(name, delivery_id, times)

    def _multiply(self, name: str, delivery_id: str, times: int) -> None:
        columns = [column[0] for column in self.run(f"SELECT * FROM {name} LIMIT 1").description]
        key = next(column for column in columns if column in IDS)
        # From a table beside it: some databases read a table badly that they write at the same time.
        self.run(f"CREATE TEMPORARY TABLE one_{name} AS SELECT * FROM {name} WHERE {key} = '{delivery_id}'")
        row = self.run(f"SELECT * FROM one_{name} LIMIT 1").fetchone() or (None,) * len(columns)
        new_key = f"{key} || '-' || i" if self.kind != "mysql" else f"CONCAT({key}, '-', i)"
        chosen = [
            new_key
            if column == key
            else f"{column} - i * 0.0001"
            if column.endswith("_at") and isinstance(value, float)
            else column
            for column, value in zip(columns, row, strict=True)
        ]
        self.run(
            f"INSERT INTO {name} ({', '.join(columns)})"
            f" WITH RECURSIVE numbers (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < {times})"
            f" SELECT {', '.join(chosen)} FROM one_{name}, numbers"
        )
        self.run(f"DROP TABLE one_{name}")

    def settle(self) -> None:
        """Let the database know what has been filled in, as it would in an hour."""
        with suppress(Exception):
            self.run("VACUUM ANALYZE" if self.kind == "postgresql" else "ANALYZE TABLE whop_deliveries")


def fill(store: str, *, due: int, done: int) -> None:
    """Make a store in which so many are due and done."""
    app = app_with(store, "worker")
    with closing(Plain(store)) as plain:
        for state, number in (("done", done), ("due", due)):
            if not number:
                continue
            deliver(app, environ_of(BODY, signed_headers(delivery_id := new_id())))
            if state == "done":
                with worker("--once", store=store) as process:
                    process.wait(60)
            plain.multiply(delivery_id, number - 1)
        found = {
            state: plain.number(f"SELECT COUNT(*) FROM whop_deliveries WHERE state = '{state}'")
            for state in ("due", "done")
        }
        assert found == {"due": due, "done": done}, found
        plain.settle()


def rate(store: str, folder: Path, seconds: float) -> float:
    """How many a second a worker runs of what is due."""
    file = folder / f"{new_id()}.json"
    with worker("--once", "--concurrency=4", store=store, times=file) as process, suppress(TimeoutExpired):
        wait_until(file.exists, 60)
        process.wait(seconds)
    times = sorted(when for _, when in json.loads(file.read_text()))
    counted = times[len(times) // 10 :]
    return (len(counted) - 1) / (counted[-1] - counted[0])


def latencies(store: str, folder: Path, samples: int) -> list[float]:
    """The seconds from the answer to the call, with an idle worker."""
    file = folder / f"{new_id()}.json"
    app = app_with(store, "worker")
    deliver(app, environs(1)[0])
    answered = {}
    with closing(Plain(store)) as plain, worker(store=store, times=file):
        _wait_until_run(plain)
        for _ in range(samples):
            time.sleep(random.uniform(0.05, 0.35))
            delivery_id = new_id()
            body = BODY.replace(b"msg_xxxxxxxxxxxxxxxxxxxxxxxx", delivery_id.encode())
            environ = environ_of(body, signed_headers(delivery_id, body))
            deliver(app, environ)
            answered[delivery_id] = time.time()
        _wait_until_run(plain)
    called = dict(json.loads(file.read_text()))
    return [max(0.0, called[delivery_id] - when) for delivery_id, when in answered.items()]


def _wait_until_run(plain: Plain) -> None:
    while plain.number("SELECT COUNT(*) FROM whop_deliveries WHERE state <> 'done'"):
        time.sleep(0.1)


def row_of(kind: str, made: Databases, asked: argparse.Namespace) -> tuple[str, ...]:
    """What a store's line says."""
    few, many, idle = made.new(kind), made.new(kind), made.new(kind)
    fill(few, due=min(2000, asked.due), done=0)
    without = rate(few, made.folder, asked.seconds)
    fill(many, due=asked.due, done=asked.done)
    with_backlog = rate(many, made.folder, asked.seconds)
    waited = latencies(idle, made.folder, asked.samples)
    return (
        kind,
        f"{without:.0f}/s",
        f"{with_backlog:.0f}/s",
        f"{with_backlog / without:.2f}",
        f"{percentile(waited, 50) * 1e3:.1f} ms",
        f"{percentile(waited, 99) * 1e3:.1f} ms",
    )


def main() -> None:
    """Measure, and print a line for each store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--due", type=int, default=20_000)
    parser.add_argument("--done", type=int, default=200_000)
    parser.add_argument("--stores", default=",".join(Databases.KINDS))
    asked = parser.parse_args()
    say_where()
    with databases() as made:
        rows = [row_of(kind, made, asked) for kind in asked.stores.split(",") if kind in made.there]
    backlog = f"{asked.due:,} due, {asked.done:,} done"
    table(
        ("worker, 4 threads", f"{min(2000, asked.due):,} due", backlog, "of that without", "accept → run, p50", "p99"),
        rows,
    )


if __name__ == "__main__":
    main()
