"""What a delivery costs in each store and mode, beside what it costs by hand, side by side in one run.

    python -m tests.benchmarks.stores [deliveries]

Each app gets signed requests through its own WSGI stack, in turns of a hundred, from one
thread; one receiver reads two fields. The baselines are those of ``by_hand.py``: on a
table of their own, and on the very table that flask-whop made, with all its columns and
indexes. The time goes from the request until the answer is closed; figures are medians,
and the last ratio is that of the fastest tenth on the same table, which others on the
machine disturb least. ``aim`` is what the ratios before it shall not exceed. MariaDB has no baseline.

A database that does not listen on 127.0.0.1 is left out. Each app and each baseline has
a database of its own, and they are dropped at the end.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from statistics import median
from typing import NamedTuple

from tests.benchmarks import by_hand
from tests.benchmarks.common import (
    Databases,
    answers,
    app_with,
    databases,
    deliver,
    environs,
    in_turns,
    percentile,
    say_where,
    table,
)


class Row(NamedTuple):
    """What is compared."""

    name: str
    kind: str
    dispatch: str
    aim: str


MEMORY = "memory, inline"
ROWS = (
    Row(MEMORY, "memory", "inline", "≤ 0.9"),
    Row("SQLite, inline", "SQLite", "inline", "≤ 1.15"),
    Row("SQLite, accept", "SQLite", "worker", "≤ 1.05"),
    Row("PostgreSQL, inline", "PostgreSQL", "inline", "≤ 1.1"),
    Row("PostgreSQL, accept", "PostgreSQL", "worker", "≤ 1.1"),
    Row("MariaDB, inline", "MariaDB", "inline", ""),
    Row("MariaDB, accept", "MariaDB", "worker", ""),
)
BARE, OURS, OWN, BESIDE = "bare view", "flask-whop", "by hand", "by hand, same table"
LEDGERS = {
    "SQLite": (by_hand.Sqlite, by_hand.SqliteBeside),
    "PostgreSQL": (by_hand.Postgresql, by_hand.PostgresqlBeside),
}


def runs_of(row: Row, made: Databases) -> dict[str, Iterator[float]]:
    """What is run for a row, by the names of the columns."""
    runs = {OURS: answers(app_with(made.new(row.kind), row.dispatch))}
    if row.kind == "memory":
        runs[OWN] = answers(by_hand.view(by_hand.Memory()))
    if row.kind in LEDGERS:
        own, beside = LEDGERS[row.kind]
        accepts = row.dispatch != "inline"
        runs[OWN] = answers(by_hand.view(own(made.new(row.kind), durable=accepts), accepts=accepts))
        store = made.new(row.kind)
        deliver(app_with(store, row.dispatch), environs(1)[0])  # makes the tables, and the row to imitate
        runs[BESIDE] = answers(by_hand.view(beside(store, durable=accepts), accepts=accepts))
    return runs


def main(deliveries: int) -> None:
    """Measure all of them in turns, and print a line for each."""
    say_where()
    with databases() as made:
        rows = [row for row in ROWS if row.kind in (*made.there, "memory")]
        runs = {(row.name, side): run for row in rows for side, run in runs_of(row, made).items()}
        runs |= {(BARE, BARE): answers(by_hand.bare())}
        taken = in_turns(runs, deliveries)
    report(rows, taken)


def report(rows: list[Row], taken: dict[tuple[str, str], list[float]]) -> None:
    """Print what was measured."""
    medians = {run: median(seconds) for run, seconds in taken.items()}
    fast = {run: percentile(seconds, 10) for run, seconds in taken.items()}

    def microseconds(run: tuple[str, str]) -> str:
        return f"{medians[run] * 1e6:.0f} µs" if run in medians else ""

    def ratio(name: str, side: str, times: dict[tuple[str, str], float] = medians) -> str:
        return f"{times[name, OURS] / times[name, side]:.2f}" if (name, side) in times else ""

    lines = [
        (
            *(row.name, microseconds((row.name, OURS)), microseconds((row.name, OWN))),
            *(microseconds((row.name, BESIDE)), ratio(row.name, OWN), ratio(row.name, BESIDE)),
            *(ratio(row.name, BESIDE, fast) or ratio(row.name, OWN, fast), row.aim),
        )
        for row in rows
    ]
    ours, bare = (MEMORY, OURS), (BARE, BARE)
    against = (f"{times[ours] / times[bare]:.2f}" for times in (medians, fast))
    lines.insert(
        1,
        (
            *("memory, against a bare view", microseconds(ours), microseconds(bare), "", next(against), ""),
            *(next(against), "≤ 1.6"),
        ),
    )
    headings = ("", OURS, OWN, BESIDE, "x of by hand", "x of that on the same table", "x in the fastest tenth", "aim")
    table(headings, lines)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
