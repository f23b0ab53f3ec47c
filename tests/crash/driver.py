"""Kills servers, workers and tasks at random and at every named step, and counts the effects.

    python -m tests.crash.driver --kills 200

A sender delivers payments and retries each until it is answered 2xx, as Whop does, in
fractions of a second. At the end nothing may be lost; effects in the joined transaction
are there exactly once; others are doubled at most once per kill.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from flask_whop.stores.sqlalchemy import SQLAlchemyStore, make_engine
from flask_whop.testing import sample, signed
from tests.conftest import PATH, SECRET
from tests.crash.shop import STEPS
from tests.services import SERVICES

ROOT = Path(__file__).parents[2]
POSTGRESQL = SERVICES["PostgreSQL"][1]
SETTLE_SECONDS = 60
SENDERS = 4


@dataclass
class Scenario:
    """A store, a mode, and what runs beside the server."""

    name: str
    store: str
    dispatch: str
    broker: str = ""
    services: tuple[str, ...] = ()


SCENARIOS = [
    Scenario("SQLite, inline", "sqlite", "inline"),
    Scenario("SQLite, after_response", "sqlite", "after_response"),
    Scenario("SQLite, worker", "sqlite", "worker"),
    Scenario("PostgreSQL joined, inline", "joined", "inline", services=("PostgreSQL",)),
    Scenario("PostgreSQL joined, worker", "joined", "worker", services=("PostgreSQL",)),
    Scenario("PostgreSQL, Celery on Redis", "url", "celery", "Redis", services=("PostgreSQL", "Redis")),
    Scenario("PostgreSQL joined, Celery on RabbitMQ", "joined", "celery", "RabbitMQ", ("PostgreSQL", "RabbitMQ")),
]


@dataclass
class Report:
    """What came of it."""

    delivered: int
    kills: int
    kills_at_steps: Counter[str]
    lost: list[str]
    doubled: int
    joined: bool

    def faults(self) -> list[str]:
        """What should not be, in sentences; empty if all is well."""
        found = [f"{len(self.lost)} effects were lost: {self.lost[:5]}"] if self.lost else []
        allowed = 0 if self.joined else self.kills
        if self.doubled > allowed:
            found.append(f"{self.doubled} effects were doubled by {self.kills} kills; {allowed} may be")
        return found

    def __str__(self) -> str:
        at = ", ".join(f"{count} {step}" for step, count in sorted(self.kills_at_steps.items()))
        kind = "joined" if self.joined else "others"
        counts = f"{self.delivered} deliveries, {self.kills} kills ({at})"
        return f"{counts}: {len(self.lost)} lost, {self.doubled} doubled ({kind})"


@dataclass
class Arena:
    """One scenario, running."""

    scenario: Scenario
    kills_wanted: int
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="crash")))
    delivered: list[str] = field(default_factory=list)
    steps: Counter[str] = field(default_factory=Counter)
    stopping: threading.Event = field(default_factory=threading.Event)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.doom = self.folder / "doom"
        self.doom.mkdir()
        self.effects = self.folder / "effects"
        self.effects.touch()
        url = str(self.folder / "whop.sqlite3") if self.scenario.store == "sqlite" else POSTGRESQL
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.environment = os.environ | {
            "WHOP_WEBHOOK_SECRET": SECRET,
            "CRASH_STORE": f"{self.scenario.store} {url}",
            "CRASH_DISPATCH": self.scenario.dispatch,
            "CRASH_DOOM": str(self.doom),
            "CRASH_EFFECTS": str(self.effects),
            "CRASH_BROKER": SERVICES[self.scenario.broker][1] if self.scenario.broker else "",
            "CRASH_QUEUE": f"crash-{self.folder.name}",
            "PYTHONPATH": str(ROOT),
        }

    def run(self) -> Report:
        """Run to the end, and count."""
        self.clear_database()
        try:
            self.start_all()
            senders = [threading.Thread(target=self.send) for _ in range(SENDERS)]
            for sender in senders:
                sender.start()
            self.kill_about()
            self.stopping.set()
            for sender in senders:
                sender.join()
            self.settle()
        finally:
            for process in self.processes.values():
                kill_tree(process)
        report = self.count()
        self.clear_database()
        if not report.faults():
            shutil.rmtree(self.folder)
        return report

    # Processes.

    def start_all(self) -> None:
        self.start(
            "server", "gunicorn", "--workers=3", f"--bind=127.0.0.1:{self.port}", "tests.crash.shop:create_app()"
        )
        wait_until(self.is_listening, "the server to listen", self.log)
        for name, command in self.supervised().items():
            self.start(name, *command)

    def supervised(self) -> dict[str, tuple[str, ...]]:
        """What runs beside the server, and is started again when it dies."""
        if self.scenario.dispatch == "inline":
            return {}
        if self.scenario.dispatch != "celery":
            return {"worker": ("flask", "--app", "tests.crash.shop:create_app()", "whop", "work", "--concurrency", "1")}
        app = ("celery", "-A", "tests.crash.celery_worker:celery")
        return {
            "celery": (*app, "worker", "-c", "2", "--without-gossip", "--without-mingle", "-l", "WARNING"),
            "beat": (*app, "beat", "-l", "WARNING", "--pidfile="),
        }

    def start(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", *command],
                env=self.environment,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def is_listening(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def log(self) -> str:
        return "\n".join(file.read_text(errors="replace")[-3000:] for file in self.folder.glob("*.log"))

    # The sender.

    def send(self) -> None:
        """Deliver one payment after the other, each until it is answered 2xx."""
        while not self.stopping.is_set():
            event_id = f"msg_{random.getrandbits(64):x}"
            body = sample("payment.succeeded") | {"id": event_id}
            give_up = time.monotonic() + SETTLE_SECONDS
            while not self.deliver(body):
                time.sleep(random.uniform(0.02, 0.3))
                assert time.monotonic() < give_up, f"{event_id} is never taken: {self.log()}"
            self.delivered.append(event_id)

    def deliver(self, body: dict[str, object]) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            request = signed(body, SECRET)
            connection.request("POST", PATH, request["data"], request["headers"])
            return 200 <= connection.getresponse().status < 300
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    # The killer.

    def kill_about(self) -> None:
        """Kill until there have been as many as wanted, in turns by a step and at random."""
        while sum(self.steps.values()) < self.kills_wanted:
            time.sleep(random.uniform(0.05, 0.25))
            if random.random() < 0.75:
                self.doom_step(STEPS[sum(self.steps.values()) % len(STEPS)])
            else:
                self.kill_some_process()
            self.revive()

    def doom_step(self, step: str) -> None:
        file = self.doom / step
        file.touch()
        until = time.monotonic() + 8
        while file.exists() and time.monotonic() < until:
            self.revive()
            time.sleep(0.02)
        try:
            file.unlink()
        except FileNotFoundError:
            self.steps[step] += 1

    def kill_some_process(self) -> None:
        candidates = [pid for process in self.processes.values() for pid in children(process.pid)]
        candidates += [self.processes[name].pid for name in ("worker", "beat") if name in self.processes]
        if candidates:
            try:
                os.kill(random.choice(candidates), signal.SIGKILL)
            except ProcessLookupError:
                return
            self.steps["at random"] += 1

    def revive(self) -> None:
        """Start again what a supervisor would."""
        for name, command in self.supervised().items():
            if self.processes[name].poll() is not None:
                self.start(name, *command)

    # The end.

    def settle(self) -> None:
        """Wait until nothing is left to do."""
        for file in self.doom.iterdir():
            if file.name in STEPS:
                file.unlink()
        wait_until(lambda: self.revive() or not self.missing(), "all effects", self.log, quiet=True)
        time.sleep(3.5)  # a lease and a half, so that what would double has doubled

    def counted(self) -> Counter[str]:
        if self.scenario.store != "joined":
            return Counter(self.effects.read_text().splitlines())
        engine = make_engine(POSTGRESQL)
        with engine.connect() as connection:
            rows = connection.execute(sa.text("SELECT receiver, event_id FROM crash_effects")).fetchall()
        engine.dispose()
        return Counter(f"{receiver} {event_id}" for receiver, event_id in rows)

    def missing(self) -> list[str]:
        wanted = [f"{receiver} {event_id}" for event_id in self.delivered for receiver in ("first", "second")]
        counted = self.counted()
        return [effect for effect in wanted if effect not in counted]

    def count(self) -> Report:
        counted = self.counted()
        return Report(
            delivered=len(self.delivered),
            kills=sum(self.steps.values()),
            kills_at_steps=self.steps,
            lost=self.missing(),
            doubled=sum(count - 1 for count in counted.values()),
            joined=self.scenario.store == "joined",
        )

    def clear_database(self) -> None:
        if self.scenario.store == "sqlite":
            return
        engine = make_engine(POSTGRESQL)
        store = SQLAlchemyStore(engine, prefix="crash_")
        with engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE IF EXISTS crash_effects"))
            store.metadata.drop_all(connection)
            connection.execute(
                sa.text(
                    "CREATE TABLE crash_effects (number serial PRIMARY KEY, receiver varchar(20), event_id varchar(50))"
                )
            )
        engine.dispose()


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in listed.split()]


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """Kill a process with all that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_until(condition, what, log, *, quiet=False) -> None:
    until = time.monotonic() + SETTLE_SECONDS
    while not condition():
        if time.monotonic() > until:
            if quiet:
                return
            raise AssertionError(f"waited in vain for {what}: {log()}")
        time.sleep(0.1)


def main() -> None:
    """Run every scenario, and print what came of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="in all (default: %(default)s)")
    parser.add_argument("--only", default="", help="the scenarios whose names have this in them")
    options = parser.parse_args()
    scenarios = [scenario for scenario in SCENARIOS if options.only in scenario.name]
    faults = []
    for scenario in scenarios:
        report = Arena(scenario, -(-options.kills // len(scenarios))).run()
        print(f"{scenario.name}: {report}", flush=True)
        faults += [f"{scenario.name}: {fault}" for fault in report.faults()]
    sys.exit("\n".join(faults))


if __name__ == "__main__":
    main()
