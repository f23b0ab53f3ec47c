"""How many statements a delivery costs at the database, and how often it waits for an answer.

    python -m tests.benchmarks.round_trips [deliveries [PostgreSQL] [MariaDB]]

A proxy between the app and the database reads what the drivers say. A statement is a
message that executes one, BEGIN and COMMIT too; a wait is a burst of messages that is
followed by an answer, so that statements which are sent together wait once. Connecting and
other beginnings are left out: the figures are the difference of two runs of different
length, per delivery.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_whop import WhopWebhooks
from flask_whop.stores.sqlalchemy import SessionStore
from tests.benchmarks.common import (
    EVENT,
    SECRET,
    Databases,
    app_with,
    databases,
    deliver,
    environs,
    say_where,
    table,
    worker,
)
from tests.services import SERVICES


class Count(NamedTuple):
    """What went through a proxy."""

    statements: float
    waits: float


class Proxy:
    """A TCP proxy to a database, which counts."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._to = SERVICES[kind][0]
        self._server = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._statements = self._waits = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def url(self, url: str) -> str:
        """The URL of a database by this proxy."""
        return url.replace(f":{self._to}/", f":{self._server.getsockname()[1]}/")

    @property
    def count(self) -> Count:
        """What went through so far."""
        with self._lock:
            return Count(self._statements, self._waits)

    def close(self) -> None:
        """Take no more connections."""
        self._server.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._to)) as server:
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            answered = threading.Event()
            answered.set()
            back = threading.Thread(target=self._pass_back, args=(server, client, answered), daemon=True)
            back.start()
            messages = {"PostgreSQL": _PostgreSQL, "MariaDB": _MariaDB}[self._kind]()
            with suppress(OSError):
                while data := client.recv(65536):
                    statements = messages.read(data)
                    with self._lock:
                        self._statements += statements
                        if answered.is_set():
                            answered.clear()
                            self._waits += 1
                    server.sendall(data)
                server.shutdown(socket.SHUT_WR)
            back.join()

    @staticmethod
    def _pass_back(server: socket.socket, client: socket.socket, answered: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                answered.set()
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)


class _PostgreSQL:
    """Reads what a client of PostgreSQL says: a length and a start, then a letter and a length before each message."""

    def __init__(self) -> None:
        self._left = b""
        self._begun = False

    def read(self, data: bytes) -> int:
        """How many statements are executed by what has come to its end."""
        self._left += data
        statements = 0
        while True:
            head = 1 if self._begun else 0
            if len(self._left) < head + 4:
                return statements
            size = head + struct.unpack_from("!I", self._left, head)[0]
            if len(self._left) < size:
                return statements
            statements += self._begun and self._left[:1] in (b"Q", b"E")  # a query, or an execution
            self._begun = True
            self._left = self._left[size:]


class _MariaDB:
    """Reads what a client of MariaDB says: a length of three bytes, and 0 where a command begins."""

    def __init__(self) -> None:
        self._left = b""

    def read(self, data: bytes) -> int:
        """How many commands have begun."""
        self._left += data
        commands = 0
        while len(self._left) >= 4 and len(self._left) >= (size := 4 + int.from_bytes(self._left[:3], "little")):
            commands += self._left[3] == 0
            self._left = self._left[size:]
        return commands


@contextmanager
def proxied(kind: str, made: Databases) -> Iterator[tuple[Proxy, str]]:
    """A proxy to a fresh database, and its URL."""
    proxy = Proxy(kind)
    try:
        yield proxy, proxy.url(made.new(kind))
    finally:
        proxy.close()


def per_delivery(proxy: Proxy, run: Callable[[int], object], deliveries: int) -> Count:
    """What each delivery costs of those that ``run`` makes, without what begins."""
    run(12)  # so often that drivers have prepared what they prepare
    before = proxy.count
    run(deliveries)
    between = proxy.count
    run(2 * deliveries)
    after = proxy.count
    statements, waits = (
        (last - middle - (middle - first)) / deliveries
        for first, middle, last in zip(before, between, after, strict=True)
    )
    return Count(statements, waits)


def accepted(app: Flask) -> Callable[[int], object]:
    """What delivers to an app."""

    def run(deliveries: int) -> None:
        for environ in environs(deliveries):
            deliver(app, environ)

    return run


def run_by_worker(proxy: Proxy, store: str, deliveries: int) -> Count:
    """What a worker costs for each of the deliveries that are due when it starts."""
    app = app_with(store, "worker")

    def run(number: int) -> Count:
        accepted(app)(number)
        before = proxy.count
        with worker("--once", store=store) as process:
            process.wait(120)
        after = proxy.count
        return Count(after.statements - before.statements, after.waits - before.waits)

    few, many = run(2 * deliveries), run(10 * deliveries)
    return Count(*((more - less) / (8 * deliveries) for less, more in zip(few, many, strict=True)))


def session_app(store: str, receivers: int) -> Flask:
    """An app with a SessionStore, whose receivers write a row each."""
    app = Flask("bench")
    url = store.replace("postgresql://", "postgresql+psycopg://")
    app.config.update(WHOP_WEBHOOK_SECRET=SECRET, SQLALCHEMY_DATABASE_URI=url)
    db = SQLAlchemy(app)
    notes = db.Table(
        "notes",
        db.Column("number", db.Integer, primary_key=True),
        db.Column("email", db.Text),
    )
    whop = WhopWebhooks(app, store=SessionStore(db))
    with app.app_context():
        db.create_all()
    for number in range(receivers):

        @whop.on(EVENT, name=f"receiver {number}")
        def write(app: Flask, event: Any, **extra: object) -> None:
            db.session.execute(notes.insert().values(email=event.data.email))

    return app


def counted(made: Databases, kinds: list[str], deliveries: int) -> Iterator[tuple[str, list[Count]]]:
    """Each row's name, and its counts for 1, 3 and 10 receivers, or for one."""
    for kind in kinds:
        with proxied(kind, made) as (proxy, store):
            for dispatch in ("inline", "after_response"):
                apps = [app_with(store, dispatch, receivers=receivers) for receivers in (1, 3, 10)]
                yield f"{kind} {dispatch}", [per_delivery(proxy, accepted(app), deliveries) for app in apps]
            yield f"{kind} worker, one of the due deliveries", [run_by_worker(proxy, store, deliveries)]
            yield f"{kind} accept", [per_delivery(proxy, accepted(app_with(store, "worker")), deliveries)]
    if "PostgreSQL" in kinds:
        with proxied("PostgreSQL", made) as (proxy, store):
            apps = [session_app(store, receivers) for receivers in (1, 3, 10)]
            counts = [per_delivery(proxy, accepted(app), deliveries) for app in apps]
        yield "SessionStore on PostgreSQL, receivers that write", counts


def main(deliveries: int, kinds: list[str]) -> None:
    """Count, and print a line for each."""
    os.environ |= {"PGSSLMODE": "disable", "PGGSSENCMODE": "disable"}  # the proxy has to understand what is said
    say_where()
    with databases() as made:
        rows = []
        for name, counts in counted(made, [kind for kind in kinds if kind in made.there], deliveries):
            said = [" / ".join(f"{value:.4g}" for value in column) for column in zip(*counts, strict=True)]
            rows.append((name, *said))
    table(("1 / 3 / 10 receivers", "statements", "waits"), rows)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30, sys.argv[2:] or ["PostgreSQL", "MariaDB"])
