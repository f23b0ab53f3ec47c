"""How far one PostgreSQL carries it: what is accepted and run, against how many processes, and what it costs there.

    python -m tests.benchmarks.capacity [--seconds 5] [--web 1,2,4] [--workers 1,2,4]

Each web process pushes signed requests through its app's WSGI stack from 4 threads, as
fast as they are answered, in worker mode; each worker is a ``flask whop work`` with 4
threads and a receiver that does nothing. There is no HTTP server, so that the database is
what is loaded. All of them share the machine; processor time is read from /proc (Linux,
with the database on this machine and nobody else in it), commits, the write-ahead log and
what is waited for from PostgreSQL itself.

At first one process only accepts, and then one worker only runs what is due. By these two,
``a``, ``b`` and ``c`` are the processor time that one delivery costs at the database, at a
web process and at a worker; README.md says what follows from them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.common import (
    ROOT,
    app_with,
    databases,
    deliver,
    environs,
    say_where,
    table,
    wait_until,
    worker,
)
from tests.benchmarks.workers import Plain, fill

THREADS = 4
MOST_A_SECOND = 4000
"""How many deliveries a second are made ready: more than a process takes."""
TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
BUSY = 0.85
"""The share of the processors from which on they are what saturates."""


def web(store: str, folder: str, seconds: float) -> None:
    """Be a web process: wait for the start, deliver for some seconds, and tell how often."""
    app = app_with(store, "worker")
    ready, start = Path(folder) / f"ready-{os.getpid()}", Path(folder) / "start"
    deliver(app, environs(1)[0])
    signed = environs(int(seconds * MOST_A_SECOND))
    accepted = [0] * THREADS
    ready.touch()
    while not start.exists():
        if not ready.exists():
            return  # whoever started this is gone
        time.sleep(0.01)
    until = time.monotonic() + seconds
    begun = time.process_time()

    def run(number: int) -> None:
        mine = iter(signed[number::THREADS])
        while time.monotonic() < until:
            deliver(app, next(mine))
            accepted[number] += 1

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps([sum(accepted), time.process_time() - begun]))


class Measured(NamedTuple):
    """What one combination came to: numbers of deliveries, seconds of processor time, and the rest."""

    web: int
    workers: int
    took: float
    accepted: int
    run: int
    database_time: float
    web_time: float
    worker_time: float
    commits: int
    log_bytes: int
    kept_bytes: float
    saturated: str


def processor_time(pid: int, *, with_children: bool = False) -> float:
    """The seconds of processor time of a process, and of its children that are gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11 : 15 if with_children else 13])) / TICKS


def of_database(postmaster: int) -> float:
    """The seconds of processor time of all processes of a PostgreSQL."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(postmaster)], capture_output=True, text=True, check=True)
    live = sum(processor_time(int(pid)) for pid in listed.stdout.split())
    return live + processor_time(postmaster, with_children=True)


def postmaster_of(plain: Plain) -> int:
    """The process that all those of a PostgreSQL come from."""
    backend = plain.number("SELECT pg_backend_pid()")
    return int(Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()[1])


DONE = "SELECT COUNT(*) FROM whop_deliveries WHERE state = 'done'"
COMMITS = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
SIZE = "SELECT SUM(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'whop%'"
WAITS = (
    "SELECT wait_event_type, wait_event FROM pg_stat_activity"
    " WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()"
)


def measure(store: str, webs: int, workers: int, seconds: float) -> Measured:
    """Run one combination in a fresh database; without a web process, on what is due already."""
    fill(store, due=0 if webs else int(seconds * MOST_A_SECOND), done=0)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        plain = stack.enter_context(closing(Plain(store)))
        postmaster = postmaster_of(plain)
        command = [sys.executable, "-m", "tests.benchmarks.capacity", "--be-web", store, folder, str(seconds)]
        senders = [
            subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)})
            for _ in range(webs)
        ]
        runners = [stack.enter_context(worker(f"--concurrency={THREADS}", store=store)) for _ in range(workers)]
        wait_until(lambda: len(list(Path(folder).glob("ready-*"))) == webs, 60)
        wait_until(lambda: plain.number(DONE) >= (webs or 1) or not workers, 60)
        wal = plain.run("SELECT pg_current_wal_lsn()").fetchone()[0]
        commits, ran = plain.number(COMMITS), plain.number(DONE)
        database, ours = of_database(postmaster), [processor_time(runner.pid) for runner in runners]
        worked_before, ticks_before = of_machine()
        begun = time.monotonic()
        (Path(folder) / "start").touch()
        waits: Counter[str] = Counter()
        while time.monotonic() < begun + seconds:
            waits.update(f"{kind}:{name}" if kind else "" for kind, name in plain.run(WAITS).fetchall())
            time.sleep(0.05)
        told = [json.loads(sender.communicate(timeout=60)[0]) for sender in senders] or [(0, 0.0)]
        took = time.monotonic() - begun
        worked_after, ticks_after = of_machine()
        database = of_database(postmaster) - database
        worked = sum(processor_time(runner.pid) for runner in runners) - sum(ours)
        ran = plain.number(DONE) - ran
        log = plain.number(f"SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '{wal}')")
        time.sleep(1.2)  # until those who are idle have told what they did
        commits = plain.number(COMMITS) - commits
        kept_bytes = plain.number(SIZE) / plain.number("SELECT COUNT(*) FROM whop_deliveries")
    accepted, web_time = (sum(each) for each in zip(*told, strict=True))
    saturated = _saturated(
        (database + web_time + worked) / took,
        (worked_after - worked_before) / (ticks_after - ticks_before),
        waits,
    )
    return Measured(
        *(webs, workers, took, int(accepted), ran, database, web_time, worked, commits, log, kept_bytes, saturated)
    )


def of_machine() -> tuple[int, int]:
    """The ticks that the processors of this machine have worked, and all of them."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def _saturated(cores: float, busy: float, waits: Counter[str]) -> str:
    """What it comes up against: the processors, or what the database's connections wait for most."""
    ours = cores / (os.cpu_count() or 1)
    if busy >= BUSY:
        return f"processors ({busy:.0%} busy, {ours:.0%} by this)"
    waited = Counter({name: number for name, number in waits.items() if name and not name.startswith("Client")})
    if not waited:
        return f"nothing (processors {busy:.0%} busy)"
    name, number = waited.most_common(1)[0]
    return f"{name} ({number / waits.total():.0%} of what is active)"


def report(measured: list[Measured]) -> None:
    """Print what was measured."""
    table(
        (
            *("web x workers", "accepted/s", "run/s", "cores: database", "web", "worker", "commits/s", "WAL KiB/s"),
            *("bytes a delivery", "saturated by"),
        ),
        [
            (
                *(f"{one.web} x {one.workers}", f"{one.accepted / one.took:.0f}", f"{one.run / one.took:.0f}"),
                *(f"{time / one.took:.2f}" for time in (one.database_time, one.web_time, one.worker_time)),
                *(f"{one.commits / one.took:.0f}", f"{one.log_bytes / 1024 / one.took:.0f}", f"{one.kept_bytes:.0f}"),
                one.saturated,
            )
            for one in measured
        ],
    )


def report_costs(accepting: Measured, running: Measured) -> None:
    """Print what one delivery costs where, by a run that only accepts and one that only runs."""
    rows, at_database = [], 0.0
    for name, one, number, ours in (
        ("accept", accepting, accepting.accepted, accepting.web_time),
        ("run", running, running.run, running.worker_time),
    ):
        at_database += one.database_time / number
        rows.append(
            (
                *(name, f"{one.database_time / number * 1e6:.0f} µs", f"{ours / number * 1e6:.0f} µs"),
                *(f"{one.commits / number:.2f}", f"{one.log_bytes / number:.0f}"),
            )
        )
    print()
    table(("one delivery", "at the database", "at the web process or worker", "commits", "WAL bytes"), rows)
    b, c = accepting.web_time / accepting.accepted, running.worker_time / running.run
    print(
        f"\na = {at_database * 1e6:.0f} µs, b = {b * 1e6:.0f} µs, c = {c * 1e6:.0f} µs: a core carries"
        f" {1 / at_database:.0f} deliveries a second as a database, {1 / b:.0f} as a web process, {1 / c:.0f} as a"
        f" worker, and {1 / (at_database + b + c):.0f} as all of them."
    )


def main() -> None:
    """Measure each combination, and print a line for each."""
    if sys.argv[1:2] == ["--be-web"]:
        web(sys.argv[2], sys.argv[3], float(sys.argv[4]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--web", default="1,2,4", help="how many web processes; none for the two costs alone")
    parser.add_argument("--workers", default="1,2,4", help="how many workers")
    asked = parser.parse_args()
    say_where()
    with databases() as made:
        if "PostgreSQL" not in made.there:
            return
        combinations = [
            *((1, 0), (0, 1)),
            *(
                (int(webs), int(workers))
                for webs in asked.web.split(",")
                if webs
                for workers in asked.workers.split(",")
            ),
        ]
        measured = [measure(made.new("PostgreSQL"), *each, asked.seconds) for each in combinations]
        report(measured)
        report_costs(*measured[:2])


if __name__ == "__main__":
    main()
