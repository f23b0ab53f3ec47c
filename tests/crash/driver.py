"""Kills and freezes servers, workers and tasks at random and at every named step, and counts the effects.

    python -m tests.crash.driver --faults 300
    python -m tests.crash.driver --faults 60 --without-fence

A sender delivers payments and retries each until it is answered 2xx, as Whop does, in
fractions of a second. What is frozen goes on when its lease has run out, and somebody else
has taken over. Connections to a database server are cut in mid-commit, pools are too small
and clocks are wrong by ten minutes. At the end nothing may be lost; effects in the joined
transaction are there exactly once; others are doubled at most once per kill or freeze.
Without the fence that does not hold, which shows that the driver would notice.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import random
import shutil
import signal
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
from tests.crash.cutter import Cutter
from tests.crash.shop import COMMITTING, LEASE, STEPS
from tests.services import SERVICES, free_port, listens
from tests.shop import PATH, SECRET
from tests.stores import new_prefix

ROOT = Path(__file__).parents[2]
SETTLE_SECONDS = 60
SENDERS = 6
PATIENCE = 2.0
"""How long a sender waits for its answer: less than a freeze, so that somebody else takes over."""

KILL, FREEZE = "kill", "freeze"


@dataclass
class Scenario:
    """A store, a mode, and what runs beside the server."""

    name: str
    store: str
    database: str
    dispatch: str
    broker: str = ""

    @property
    def services(self) -> list[str]:
        """What has to be running."""
        return [name for name in (self.database, self.broker) if name in SERVICES]

    @property
    def joined(self) -> bool:
        """Whether effects are in the transaction of their receipts."""
        return self.store == "joined"

    @property
    def steps(self) -> tuple[str, ...]:
        """Where it can be killed and frozen."""
        return (*STEPS, COMMITTING) if self.joined else STEPS


SCENARIOS = [
    Scenario("SQLite, inline", "sqlite", "SQLite", "inline"),
    Scenario("SQLite, after_response", "sqlite", "SQLite", "after_response"),
    Scenario("SQLite, worker", "sqlite", "SQLite", "worker"),
    Scenario("SQLite joined, inline", "joined", "SQLite", "inline"),
    Scenario("SQLite joined, worker", "joined", "SQLite", "worker"),
    Scenario("PostgreSQL joined, inline", "joined", "PostgreSQL", "inline"),
    Scenario("PostgreSQL joined, worker", "joined", "PostgreSQL", "worker"),
    Scenario("MariaDB joined, inline", "joined", "MariaDB", "inline"),
    Scenario("MariaDB joined, worker", "joined", "MariaDB", "worker"),
    Scenario("PostgreSQL, Celery on Redis", "url", "PostgreSQL", "celery", "Redis"),
    Scenario("PostgreSQL joined, Celery on RabbitMQ", "joined", "PostgreSQL", "celery", "RabbitMQ"),
]

_DRIVERS = {"PostgreSQL": ("postgresql:", "postgresql+psycopg:"), "MariaDB": ("mysql:", "mysql+pymysql:")}


@dataclass
class Report:
    """What came of it."""

    delivered: int
    steps: Counter[tuple[str, str]]
    """How often it was killed and frozen, and where."""
    cuts: int
    lost: list[str]
    doubled: int
    joined: bool

    def count(self, kind: str) -> int:
        """How often it was killed, or frozen."""
        return sum(count for (one, _), count in self.steps.items() if one == kind)

    def faults(self) -> list[str]:
        """What should not be, in sentences; empty if all is well."""
        found = [f"{len(self.lost)} effects were lost: {self.lost[:5]}"] if self.lost else []
        allowed = 0 if self.joined else self.steps.total()
        if self.doubled > allowed:
            found.append(f"{self.doubled} effects were doubled by {self.steps.total()} faults; {allowed} may be")
        return found

    def __str__(self) -> str:
        at = ", ".join(f"{count} {kind} {step}" for (kind, step), count in sorted(self.steps.items()))
        counts = (
            f"{self.delivered} deliveries, {self.count(KILL)} kills, {self.count(FREEZE)} freezes, {self.cuts} cuts"
        )
        kind = "joined" if self.joined else "others"
        return f"{counts}: {len(self.lost)} lost, {self.doubled} doubled ({kind})\n    {at}"


@dataclass
class Arena:
    """One scenario, running."""

    scenario: Scenario
    faults_wanted: int
    without_fence: bool = False
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="crash")))
    prefix: str = field(default_factory=new_prefix)
    delivered: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    steps: Counter[tuple[str, str]] = field(default_factory=Counter)
    stopping: threading.Event = field(default_factory=threading.Event)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    thaws: list[threading.Timer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.doom = self.folder / "doom"
        self.doom.mkdir()
        self.effects = self.folder / "effects"
        self.effects.touch()
        self.url = f"sqlite:///{self.folder}/host.sqlite3"
        self.cutter = None
        through = str(self.folder / "whop.sqlite3") if self.scenario.store == "sqlite" else self.url
        if self.scenario.database in SERVICES:
            port, url, _ = SERVICES[self.scenario.database]
            self.url = url.replace(*_DRIVERS[self.scenario.database])
            self.cutter = Cutter(port)
            through = self.url.replace(f":{port}/", f":{self.cutter.port}/")
        self.port = free_port()
        self.environment = os.environ | {
            "WHOP_WEBHOOK_SECRET": SECRET,
            "CRASH_STORE": f"{self.scenario.store} {through}",
            "CRASH_PREFIX": self.prefix,
            "CRASH_DISPATCH": self.scenario.dispatch,
            "CRASH_DOOM": str(self.doom),
            "CRASH_EFFECTS": str(self.effects),
            "CRASH_CLOCKS": "wrong" if self.cutter else "",
            "CRASH_NO_FENCE": "yes" if self.without_fence else "",
            "CRASH_BROKER": SERVICES[self.scenario.broker][1] if self.scenario.broker else "",
            "CRASH_QUEUE": f"crash-{self.folder.name}",
            "PYTHONPATH": str(ROOT),
        }

    def run(self) -> Report:
        """Run to the end, and count."""
        self.make_tables()
        try:
            self.start_all()
            senders = [threading.Thread(target=self.send) for _ in range(SENDERS)]
            for sender in senders:
                sender.start()
            self.harm()
            self.stopping.set()
            for sender in senders:
                sender.join()
            self.settle()
        finally:
            for process in self.processes.values():
                kill_tree(process)
            if self.cutter:
                self.cutter.close()
        report = self.count()
        self.drop_tables()
        if not report.faults():
            shutil.rmtree(self.folder)
        return report

    # Processes.

    def start_all(self) -> None:
        threads = ("--threads=4",) if self.scenario.joined else ()  # that share a pool of 2 connections
        bind = f"--bind=127.0.0.1:{self.port}"
        self.start("server", "gunicorn", "--workers=3", *threads, bind, "tests.crash.shop:create_app()")
        wait_until(lambda: listens(self.port), "the server to listen", self.log)
        for name, command in self.supervised().items():
            self.start(name, *command)

    def supervised(self) -> dict[str, tuple[str, ...]]:
        """What runs beside the server, and is started again when it dies."""
        if self.scenario.dispatch == "inline":
            return {}
        if self.scenario.dispatch != "celery":
            work = ("flask", "--app", "tests.crash.shop:create_app()", "whop", "work", "--concurrency", "1")
            return {"worker 1": work, "worker 2": work}
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
                if time.monotonic() > give_up:
                    self.refused.append(event_id)
                    return
            self.delivered.append(event_id)
            time.sleep(random.uniform(0.02, 0.1))

    def deliver(self, body: dict[str, object]) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            request = signed(body, SECRET)
            connection.request("POST", PATH, request["data"], request["headers"])
            return 200 <= connection.getresponse().status < 300
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    # The killer.

    def harm(self) -> None:
        """Kill and freeze until there have been as many as wanted, in turns by a step and at random."""
        while self.steps.total() < self.faults_wanted:
            assert not self.refused, f"{self.refused} are never taken: {self.log()}"
            time.sleep(random.uniform(0.05, 0.25))
            kind = FREEZE if random.random() < 0.4 else KILL
            if random.random() < 0.75:
                steps = self.scenario.steps
                self.doom_step(steps[self.steps.total() % len(steps)], kind)
            else:
                self.harm_some_process(kind)
            self.revive()

    def doom_step(self, step: str, kind: str) -> None:
        file = self.doom / step
        (self.doom / "new").write_text(kind)
        (self.doom / "new").rename(file)
        until = time.monotonic() + 8
        while file.exists() and time.monotonic() < until:
            self.revive()
            time.sleep(0.02)
        try:
            file.unlink()
        except FileNotFoundError:
            self.steps[kind, step] += 1
            for taken in self.doom.glob("* at *"):
                self.thaw_later(int(taken.name.split()[0]))

    def harm_some_process(self, kind: str) -> None:
        candidates = [pid for process in self.processes.values() for pid in children(process.pid)]
        candidates += [process.pid for name, process in self.processes.items() if name.startswith(("worker", "beat"))]
        if candidates:
            pid = random.choice(candidates)
            try:
                os.kill(pid, signal.SIGKILL if kind == KILL else signal.SIGSTOP)
            except ProcessLookupError:
                return
            self.steps[kind, "at random"] += 1
            if kind == FREEZE:
                self.thaw_later(pid)

    def thaw_later(self, pid: int) -> None:
        """Let a process go on when its lease has run out, and the sender has given up and come back."""
        self.thaws.append(threading.Timer(random.uniform(1.5, 3) * max(LEASE, PATIENCE), thaw, (pid,)))
        self.thaws[-1].start()

    def revive(self) -> None:
        """Start again what a supervisor would."""
        for name, command in self.supervised().items():
            if self.processes[name].poll() is not None:
                self.start(name, *command)

    # The end.

    def settle(self) -> None:
        """Wait until nothing is left to do."""
        for file in self.doom.iterdir():
            if file.name in self.scenario.steps:
                file.unlink()
        for timer in self.thaws:
            timer.join()
        if self.cutter:
            self.cutter.cutting = False
        self.wait_for_effects()
        time.sleep(2.5 * LEASE)  #  so that what would double has doubled

    def wait_for_effects(self) -> None:
        """Wait until every effect is there, or none has come for a while."""
        missing, since = self.missing(), time.monotonic()
        while missing and time.monotonic() - since < SETTLE_SECONDS / 2:
            self.revive()
            time.sleep(0.2)
            before, missing = len(missing), self.missing()
            since = time.monotonic() if len(missing) < before else since

    def counted(self) -> Counter[str]:
        if not self.scenario.joined:
            return Counter(self.effects.read_text().splitlines())
        engine = make_engine(self.url)
        with engine.connect() as connection:
            rows = connection.execute(sa.text(f"SELECT receiver, event_id FROM {self.prefix}effects")).fetchall()
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
            steps=self.steps,
            cuts=self.cutter.cuts if self.cutter else 0,
            lost=self.missing(),
            doubled=sum(count - 1 for count in counted.values()),
            joined=self.scenario.joined,
        )

    def tables(self) -> sa.MetaData:
        """The tables of the store and that of the effects."""
        metadata = SQLAlchemyStore(self.url, prefix=self.prefix, create=False).metadata
        sa.Table(
            f"{self.prefix}effects",
            metadata,
            sa.Column("number", sa.Integer, primary_key=True),
            sa.Column("receiver", sa.String(20)),
            sa.Column("event_id", sa.String(50)),
        )
        return metadata

    def make_tables(self) -> None:
        if self.scenario.store != "sqlite":
            self.with_tables("create_all")

    def drop_tables(self) -> None:
        if self.scenario.store != "sqlite":
            self.with_tables("drop_all")

    def with_tables(self, what: str) -> None:
        engine = make_engine(self.url)
        getattr(self.tables(), what)(engine)
        engine.dispose()


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in listed.split()]


def thaw(pid: int) -> None:
    """Let a frozen process go on, if it is there still."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """Kill a process with all that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_until(condition, what, log) -> None:
    until = time.monotonic() + SETTLE_SECONDS
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(f"waited in vain for {what}: {log()}")
        time.sleep(0.1)


def main() -> None:
    """Run every scenario, and print what came of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=200, help="kills and freezes in all (default: %(default)s)")
    parser.add_argument("--only", default="", help="the scenarios whose names have this in them")
    parser.add_argument("--without-fence", action="store_true", help="show that the driver notices what the fence does")
    options = parser.parse_args()
    scenarios = [scenario for scenario in SCENARIOS if options.only in scenario.name]
    wanted = -(-options.faults // len(scenarios))
    faults = []
    for scenario in scenarios:
        report = Arena(scenario, wanted, without_fence=options.without_fence).run()
        print(f"{scenario.name}: {report}", flush=True)
        faults += [f"{scenario.name}: {fault}" for fault in report.faults()]
    sys.exit("\n".join(faults))


if __name__ == "__main__":
    main()
