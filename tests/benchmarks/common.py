"""What the benchmarks share: signed requests, an app, databases of their own, turns, and tables in Markdown."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from statistics import quantiles
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pymysql
from flask import Flask
from werkzeug.test import create_environ

from flask_whop import WhopWebhooks
from flask_whop.testing import signed
from tests.services import SERVICES, listens

ROOT = Path(__file__).parents[2]
SECRET = "ws_" + "5b1c9fe07d2a4836" * 4
PATH = "/webhooks/whop"
EVENT = "identity_profile.needs_action"
BODY = (ROOT / "tests/documented.json").read_bytes()
TURN = 100
"""How many deliveries each gets before it is the next one's turn."""

_numbers = count()

Environ = dict[str, Any]
Run = TypeVar("Run", bound=Hashable)


def read(email: object, reason: object) -> None:
    """What every receiver does: two fields of the payload are looked at."""
    assert email
    assert reason


def new_id() -> str:
    """An id that no delivery had before, from whichever process."""
    return f"msg_{os.getpid()}_{next(_numbers)}_{uuid4().hex[:8]}"


def app_with(
    store: str,
    dispatch: str = "inline",
    *,
    folder: Path | None = None,
    receivers: int = 1,
    receiver: Callable[[Any], object] | None = None,
) -> Flask:
    """An app whose receivers each read two fields, or do what ``receiver`` does with the event."""
    app = Flask("bench", instance_path=str(folder) if folder else None)
    app.config.update(WHOP_WEBHOOK_SECRET=SECRET, WHOP_STORE=store, WHOP_DISPATCH=dispatch)
    whop = WhopWebhooks(app)
    for number in range(receivers):

        @whop.on(EVENT, name=f"receiver {number}")
        def call(app: Flask, event: Any, **extra: object) -> None:
            if receiver:
                receiver(event)
            else:
                read(event.data.email, event.data.verifications[0].last_error_reason)

    return app


def signed_headers(delivery_id: str, body: bytes = BODY) -> dict[str, str]:
    """The headers of a request that Whop signs now."""
    return signed(body, SECRET, delivery_id=delivery_id)["headers"]


def environ_of(body: bytes, headers: Mapping[str, str], path: str = PATH) -> Environ:
    """The WSGI environment of a request, as a server makes it."""
    return create_environ(path, method="POST", data=body, headers=dict(headers), content_type="application/json")


def environs(number: int = TURN) -> list[Environ]:
    """The environments of some signed requests, each with an id of its own."""
    return [environ_of(BODY, signed_headers(new_id())) for _ in range(number)]


def deliver(app: Flask, environ: Environ) -> None:
    """Deliver once, and close the answer as a server does; it has to be answered 200."""
    statuses: list[str] = []
    answer = app(environ, lambda status, headers, exc_info=None: statuses.append(status))
    content = b"".join(answer)
    answer.close()
    assert statuses == ["200 OK"], (statuses, content)


def answers(app: Flask) -> Iterator[float]:
    """Deliver to ``app`` again and again; the seconds that each took, until its answer was closed."""
    while True:
        for environ in environs():
            started = time.perf_counter()
            deliver(app, environ)
            yield time.perf_counter() - started


def in_turns(runs: Mapping[Run, Iterator[float]], times: int) -> dict[Run, list[float]]:
    """What each of ``runs`` took, in turns of a hundred, so that whatever else the machine does falls on all.

    Each turn begins with another one of them; the first turn warms up and is left out.
    """
    size = min(TURN, times)
    taken: dict[Run, list[float]] = {name: [] for name in runs}
    names = list(runs)
    for turn in range(times // size + 1):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            measured = [next(runs[name]) for _ in range(size)]
            if turn:
                taken[name] += measured
    return taken


def percentile(values: Iterable[float], percent: int) -> float:
    """The value that ``percent`` of them do not exceed."""
    known = sorted(values)
    return known[0] if len(known) == 1 else quantiles(known, n=100, method="inclusive")[percent - 1]


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table as Markdown wants it, in columns."""
    lines = [tuple(headings), *map(tuple, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    lines.insert(1, tuple("---" if width < 3 else "-" * width for width in widths))
    for line in lines:
        print(f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |")
    sys.stdout.flush()


def say_where() -> None:
    """Print when and on what it is measured."""
    version = ".".join(map(str, sys.version_info[:3]))
    print(f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, CPython {version}\n", flush=True)


class Databases:
    """Databases of a benchmark's own, which go when it ends; each call gives a fresh one."""

    KINDS = ("SQLite", "PostgreSQL", "MariaDB")

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="whop-bench-"))
        self.there = tuple(kind for kind in self.KINDS if kind == "SQLite" or listens(SERVICES[kind][0]))
        self._made: list[tuple[str, str]] = []

    def new(self, kind: str) -> str:
        """Make a database; its URL as ``WHOP_STORE`` takes it."""
        name = f"whop_bench_{uuid4().hex[:12]}"
        if kind == "memory":
            return "memory://"
        if kind == "SQLite":
            return f"sqlite:///{self.folder / name}.sqlite3"
        self._run(kind, f"CREATE DATABASE {name}")
        self._made.append((kind, name))
        return f"{SERVICES[kind][1].rpartition('/')[0]}/{name}"

    def close(self) -> None:
        """Drop them."""
        for kind, name in self._made:
            self._run(kind, f"DROP DATABASE {name}{' WITH (FORCE)' if kind == 'PostgreSQL' else ''}")
        shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def _run(kind: str, statement: str) -> None:
        url = SERVICES[kind][1]
        if kind == "PostgreSQL":
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(statement.encode())
            return
        with connected_to_mariadb(url) as connection, connection.cursor() as cursor:
            cursor.execute(statement)


def connected_to_mariadb(url: str) -> pymysql.Connection:
    """Connect with the plain driver, which commits by itself."""
    parts = urlsplit(url)
    return pymysql.connect(
        host=parts.hostname,
        port=parts.port or 3306,
        user=parts.username,
        database=parts.path.lstrip("/"),
        autocommit=True,
    )


@contextmanager
def databases() -> Iterator[Databases]:
    """Databases for a benchmark; it says which kinds are left out, since nobody listens."""
    made = Databases()
    for kind in made.KINDS:
        if kind not in made.there:
            print(f"{kind} is left out: it does not listen on 127.0.0.1:{SERVICES[kind][0]}.\n")
    try:
        yield made
    finally:
        made.close()


# What is below serves the benchmarks that run processes of their own.

_SETTING = "WHOP_BENCH"


def create_app() -> Flask:
    """The app of a process, as :func:`process` has said; with times asked for, receivers do nothing else."""
    asked = json.loads(os.environ[_SETTING])
    if asked["by_hand"]:
        from tests.benchmarks import by_hand

        return by_hand.app_on(asked["store"], asked["dispatch"])
    return app_with(
        asked["store"], asked["dispatch"], receiver=_noting(Path(asked["times"])) if asked["times"] else None
    )


def _noting(file: Path) -> Callable[[Any], object]:
    """A receiver that notes when it was called; the file is there from the first call on, and full at the end."""
    calls: list[tuple[str, float]] = []

    def note(event: Any) -> None:
        calls.append((event.id, time.time()))
        if len(calls) == 1:
            file.touch()

    atexit.register(lambda: file.write_text(json.dumps(calls)))
    return note


@contextmanager
def process(
    *arguments: str, store: str, dispatch: str, times: Path | None = None, by_hand: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``python -m`` with ``arguments``, where :func:`create_app` makes the app that is described.

    ``times`` is the file that tells at the end when receivers were called. The process is
    told to stop when the block ends, and what it printed is shown if it failed.
    """
    asked = {"store": store, "dispatch": dispatch, "times": str(times) if times else "", "by_hand": by_hand}
    environment = os.environ | {_SETTING: json.dumps(asked), "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryFile() as output:
        started = subprocess.Popen(
            [sys.executable, "-m", *arguments], env=environment, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield started
        finally:
            if started.poll() is None:
                started.terminate()
            try:
                code = started.wait(60)
            except subprocess.TimeoutExpired:
                started.kill()
                code = started.wait()
            if code:
                output.seek(0)
                print(output.read().decode(errors="replace")[-3000:], file=sys.stderr)


def worker(*options: str, store: str, times: Path | None = None) -> Any:
    """Run ``flask whop work``."""
    arguments = ("flask", "--app=tests.benchmarks.common:create_app", "whop", "work", *options)
    return process(*arguments, store=store, dispatch="worker", times=times)


def wait_until(true: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for something that has to come true."""
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            raise TimeoutError("What was waited for did not come true.")
        time.sleep(0.02)


def accepts(port: int) -> bool:
    """Whether a server has begun to listen."""
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False
