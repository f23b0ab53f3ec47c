"""Deliveries a second and the time of the answer, for each store and mode, side by side in one run.

    python tests/benchmarks/stores.py [deliveries]

Each app gets the same signed requests through its WSGI stack, in turns of a hundred, so
that whatever else the machine does falls on all of them. One receiver reads two fields.
Beside them: a view by hand on whop-sdk's ``unwrap``, which remembers nothing, and the
bare insert of the same row, once as the store of an app that answers after its receivers
writes it (the retry is still Whop's) and once as one that owns the retry does. PostgreSQL is
left out where none listens on 127.0.0.1.

In the modes that answer first, what runs after the answer is not a part of its time.
"""

from __future__ import annotations

import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import quantiles

import psycopg
from flask import Flask

from flask_whop import WhopWebhooks
from tests.benchmarks.bench_delivery import BODY, SECRET, by_hand, environments, read

POSTGRESQL = "postgresql://postgres@127.0.0.1:5432/test"
TURN = 100

Step = Callable[[], float]


def app_with(folder: Path, store: str, dispatch: str = "inline") -> Flask:
    """An app with one receiver."""
    app = Flask(f"{store.partition(':')[0]}_{dispatch}", instance_path=str(folder))
    app.config.update(WHOP_WEBHOOK_SECRET=SECRET, WHOP_STORE=store, WHOP_DISPATCH=dispatch)
    whop = WhopWebhooks(app)

    @whop.on("identity_profile.needs_action")
    def receiver(app: Flask, event: object, **extra: object) -> None:
        read(event.data.email, event.data.verifications[0].last_error_reason)

    return app


def answers(app: Flask) -> Iterator[float]:
    """Deliver to ``app`` again and again; the seconds that each answer took."""
    while True:
        for environ in environments():
            statuses: list[str] = []
            started = time.perf_counter()
            answer = app(environ, lambda status, headers, exc_info=None: statuses.append(status))  # noqa: B023
            b"".join(answer)
            taken = time.perf_counter() - started
            answer.close()
            assert statuses == ["200 OK"]
            yield taken


ROW = (
    "(endpoint, id, event_type, account_id, resource, occurred_at, signed_at, secret_index, body, received_at,"
    " opened_at, changed_at, state, owned, attempts, lapses)"
)


def row(number: int) -> tuple[object, ...]:
    """The values of a row as the stores write it."""
    now = time.time()
    return (
        *("bench", f"msg_{number}_{now}", "identity_profile.needs_action", "biz_1", f"identity_profile:{number}"),
        *(now, int(now), 0, BODY, now, now, now, "done", 0, 1, 0),
    )


def sqlite_inserts(file: Path, synchronous: str) -> Iterator[float]:
    """Insert the row alone, on a kept connection."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    statement = f"INSERT INTO whop_deliveries {ROW} VALUES ({', '.join('?' * 16)})"
    yield from inserts(lambda number: connection.execute(statement, row(number)))


def postgresql_inserts(synchronous: str) -> Iterator[float]:
    """Insert the row alone, on a kept connection that commits by itself."""
    connection = psycopg.connect(POSTGRESQL, autocommit=True)
    connection.execute(f"SET synchronous_commit = {synchronous}")
    statement = f"INSERT INTO whop_deliveries {ROW} VALUES ({', '.join(['%s'] * 16)})"
    yield from inserts(lambda number: connection.execute(statement, row(number)))


def inserts(insert: Callable[[int], object]) -> Iterator[float]:
    number = 0
    while True:
        number += 1
        started = time.perf_counter()
        insert(number)
        yield time.perf_counter() - started


def main() -> None:
    """Measure, and print a line for each."""
    deliveries = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    folder = Path(tempfile.mkdtemp())
    sqlite_url = "sqlite:///bench.sqlite3"
    runs = {
        "view by hand on whop-sdk, no store": answers(by_hand()),
        "memory, inline": answers(app_with(folder, "memory://")),
        "SQLite, inline": answers(app_with(folder, sqlite_url)),
        "SQLite, after_response": answers(app_with(folder, "sqlite:///after.sqlite3", "after_response")),
        "SQLite, worker": answers(app_with(folder, "sqlite:///worker.sqlite3", "worker")),
        "SQLite, bare insert, NORMAL": sqlite_inserts(folder / "bench.sqlite3", "NORMAL"),
        "SQLite, bare insert, FULL": sqlite_inserts(folder / "worker.sqlite3", "FULL"),
    }
    try:
        psycopg.connect(POSTGRESQL).close()
    except psycopg.OperationalError:
        print("PostgreSQL is left out: it does not listen on 127.0.0.1:5432.")
    else:
        runs |= {
            "PostgreSQL, inline": answers(app_with(folder, POSTGRESQL)),
            "PostgreSQL, after_response": answers(app_with(folder, POSTGRESQL, "after_response")),
            "PostgreSQL, worker": answers(app_with(folder, POSTGRESQL, "worker")),
            "PostgreSQL, bare insert, commit off": postgresql_inserts("off"),
            "PostgreSQL, bare insert, commit on": postgresql_inserts("on"),
        }
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(deliveries // TURN + 1):
        for name, run in runs.items():
            measured = [next(run) for _ in range(TURN)]
            if turn:  # the first one warms up
                taken[name] += measured
    report(taken)
    shutil.rmtree(folder)


def report(taken: dict[str, list[float]]) -> None:
    """Print what was measured."""
    print(f"{'':38}{'a second':>10}{'median':>11}{'p99':>11}{'of the view':>13}")
    base = None
    for name, seconds in taken.items():
        cuts = quantiles(seconds, n=100)
        base = base or cuts[49]
        print(
            f"{name:38}{len(seconds) / sum(seconds):10.0f}{cuts[49] * 1e6:8.0f} µs{cuts[98] * 1e6:8.0f} µs"
            f"{cuts[49] / base:13.2f}"
        )


if __name__ == "__main__":
    main()
