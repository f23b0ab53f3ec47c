"""The views that a careful person would write by hand, as what the benchmarks compare with.

All keep the same promise: the signature is verified with whop-sdk's helper, the payload
fits a pydantic model, the work is done once per id, and a delivery whose work fails, or
whose process dies, is taken anew when Whop sends it again. Each ledger does for that what
costs least: one dictionary, or two statements, one before the work and one after it, on a
connection that each thread keeps. A view that accepts writes one row, which is on the disk
before it answers.

``own`` ledgers have a table of their own, with six columns and two indexes. Those that are
``beside`` write into the table that flask-whop made, all columns and indexes of it.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any, Protocol

import psycopg
from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ValidationError
from whop_sdk.lib.verify_webhook import WebhookVerificationError, unwrap

from tests.benchmarks.common import EVENT, PATH, SECRET, read

STALE = 60.0
"""After how many seconds a delivery that is in work belongs to a process that died."""


class Verification(BaseModel):
    """A part of the payload."""

    id: str
    last_error_reason: str | None = None
    created_at: datetime


class Profile(BaseModel):
    """The payload."""

    id: str
    email: str
    verifications: list[Verification]


class Payload(BaseModel):
    """The body."""

    id: str
    type: str
    timestamp: datetime
    company_id: str
    data: Profile


class Ledger(Protocol):
    """Where it is kept what has been done."""

    def begin(self, key: str, body: bytes) -> bool:
        """Take a delivery; false if it is done or in work."""
        ...

    def is_done(self, key: str) -> bool:
        """Whether a delivery that could not be taken is done."""
        ...

    def settle(self, key: str, state: str) -> None:
        """Write how it went."""
        ...

    def accept(self, key: str, body: bytes) -> None:
        """Keep a delivery for a worker, unless it is there."""
        ...


def bare() -> Flask:
    """A view that reads the body and answers."""
    app = Flask("bare")

    @app.post(PATH)
    def receive() -> ResponseReturnValue:
        request.get_data()
        return jsonify(status="ok")

    return app


def view(ledger: Ledger, *, accepts: bool = False) -> Flask:
    """The view with its promise; with ``accepts`` the work is left to a worker."""
    app = Flask("by_hand")
    app.config["MAX_CONTENT_LENGTH"] = 1 << 20

    @app.post(PATH)
    def receive() -> ResponseReturnValue:
        body = request.get_data()
        try:
            event = Payload.model_validate(unwrap(body, headers=request.headers, key=SECRET))
        except WebhookVerificationError:
            return jsonify(status="rejected"), 401
        except ValidationError:
            return jsonify(status="unreadable"), 400
        key = request.headers["webhook-id"]
        if accepts:
            ledger.accept(key, body)
            return jsonify(status="accepted")
        if not ledger.begin(key, body):
            return jsonify(status="duplicate"), 200 if ledger.is_done(key) else 409
        try:
            if event.type == EVENT:
                read(event.data.email, event.data.verifications[0].last_error_reason)
        except Exception:
            ledger.settle(key, "failed")
            raise
        ledger.settle(key, "done")
        return jsonify(status="ok")

    return app


def app_on(store: str, dispatch: str) -> Flask:
    """The view on what ``WHOP_STORE`` would name."""
    scheme = store.partition(":")[0]
    durable = dispatch != "inline"
    ledgers = {"memory": Memory, "sqlite": Sqlite, "postgresql": Postgresql}
    return view(ledgers[scheme](store, durable=durable), accepts=durable)


class Memory:
    """One dictionary, which forgets its oldest."""

    MOST = 50_000

    def __init__(self, store: str = "memory://", *, durable: bool = False) -> None:
        self._states: dict[str, tuple[str, float]] = {}

    def begin(self, key: str, body: bytes) -> bool:
        mine = ("running", time.monotonic())
        found = self._states.setdefault(key, mine)
        if found is mine:
            if len(self._states) > self.MOST:
                self._states.pop(next(iter(self._states)), None)
            return True
        if found[0] == "failed" or (found[0] == "running" and found[1] < mine[1] - STALE):
            self._states[key] = mine
            return True
        return False

    def is_done(self, key: str) -> bool:
        return self._states[key][0] == "done"

    def settle(self, key: str, state: str) -> None:
        self._states[key] = (state, 0.0)

    def accept(self, key: str, body: bytes) -> None:
        raise NotImplementedError


TABLE = """CREATE TABLE IF NOT EXISTS by_hand (id {text} PRIMARY KEY, event_type {text} NOT NULL, body {bytes} NOT NULL,
 state {text} NOT NULL, started_at {time} NOT NULL, settled_at {time})"""
INDEX = "CREATE INDEX IF NOT EXISTS by_hand_unfinished ON by_hand (state, started_at) WHERE state <> 'done'"
INSERT = "INSERT INTO by_hand (id, event_type, body, state, started_at) VALUES (?, ?, ?, ?, ?)"
BEGIN = (
    f"{INSERT} ON CONFLICT (id) DO UPDATE SET state = 'running', started_at = excluded.started_at"
    f" WHERE by_hand.state = 'failed'"
    f" OR (by_hand.state = 'running' AND by_hand.started_at < excluded.started_at - {STALE})"
)
ACCEPT = f"{INSERT} ON CONFLICT (id) DO NOTHING"
SETTLE = "UPDATE by_hand SET state = ?, settled_at = ? WHERE id = ?"
STATE = "SELECT state FROM by_hand WHERE id = ?"


class _Own:
    """A ledger in a table of its own, on a connection that each thread keeps."""

    def __init__(self, store: str, *, durable: bool) -> None:
        self._store = store
        self._durable = durable
        self._kept = threading.local()

    def begin(self, key: str, body: bytes) -> bool:
        return self._run(BEGIN, (key, EVENT, body, "running", time.time())).rowcount == 1

    def is_done(self, key: str) -> bool:
        return self._run(STATE, (key,)).fetchone() == ("done",)

    def settle(self, key: str, state: str) -> None:
        self._run(SETTLE, (state, time.time(), key))

    def accept(self, key: str, body: bytes) -> None:
        self._run(ACCEPT, (key, EVENT, body, "due", time.time()))

    def _run(self, statement: str, values: tuple[Any, ...]) -> Any:
        raise NotImplementedError


class Sqlite(_Own):
    """A ledger in a SQLite file."""

    def __init__(self, store: str, *, durable: bool) -> None:
        super().__init__(store, durable=durable)
        self._connection().execute(TABLE.format(text="TEXT", bytes="BLOB", time="REAL"))
        self._connection().execute(INDEX)

    def _connection(self) -> sqlite3.Connection:
        try:
            return self._kept.connection
        except AttributeError:
            connection = sqlite3.connect(self._store.removeprefix("sqlite:///"), isolation_level=None, timeout=3)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'NORMAL'}")
            self._kept.connection = connection
            return connection

    def _run(self, statement: str, values: tuple[Any, ...]) -> sqlite3.Cursor:
        return self._connection().execute(statement, values)


class Postgresql(_Own):
    """A ledger in PostgreSQL."""

    def __init__(self, store: str, *, durable: bool) -> None:
        super().__init__(store, durable=durable)
        with self._connection().transaction():  # processes may start together
            self._connection().execute("SELECT pg_advisory_xact_lock(1)")
            self._connection().execute(TABLE.format(text="text", bytes="bytea", time="double precision").encode())
            self._connection().execute(INDEX.encode())
        self._connection().close()
        del self._kept.connection  # a server forks after this

    def _connection(self) -> psycopg.Connection:
        try:
            return self._kept.connection
        except AttributeError:
            connection = psycopg.connect(self._store, autocommit=True, connect_timeout=3)
            if not self._durable:
                connection.execute("SET synchronous_commit = off")
            self._kept.connection = connection
            return connection

    def _run(self, statement: str, values: tuple[Any, ...]) -> psycopg.Cursor:
        return self._connection().execute(_for_psycopg(statement), values)


class _Beside:
    """A ledger in the table of flask-whop: whatever columns that has, filled as in a row that is there."""

    _run: Callable[[str, tuple[Any, ...]], Any]

    def _read(self) -> None:
        cursor = self._run("SELECT * FROM whop_deliveries LIMIT 1", ())
        names = [column[0] for column in cursor.description]
        self._row = dict(zip(names, cursor.fetchone(), strict=True))
        self._endpoint = self._row["endpoint"]
        self._times = [name for name, value in self._row.items() if name.endswith("_at") and isinstance(value, float)]
        self._insert = (
            f"INSERT INTO whop_deliveries ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
            " ON CONFLICT (endpoint, id) DO NOTHING"
        )
        self._settle = "UPDATE whop_deliveries SET state = ?, changed_at = ? WHERE endpoint = ? AND id = ?"

    def begin(self, key: str, body: bytes) -> bool:
        return self._written(key, body, "running").rowcount == 1

    def is_done(self, key: str) -> bool:
        state = "SELECT state FROM whop_deliveries WHERE endpoint = ? AND id = ?"
        return self._run(state, (self._endpoint, key)).fetchone() == ("done",)

    def settle(self, key: str, state: str) -> None:
        self._run(self._settle, (state, time.time(), self._endpoint, key))

    def accept(self, key: str, body: bytes) -> None:
        self._written(key, body, "due")

    def _written(self, key: str, body: bytes, state: str) -> Any:
        row = self._row | dict.fromkeys(self._times, time.time()) | {"id": key, "body": body, "state": state}
        return self._run(self._insert, tuple(row.values()))


class SqliteBeside(_Beside, Sqlite):
    """In the SQLite file of flask-whop, which has a row already."""

    def __init__(self, store: str, *, durable: bool) -> None:
        super().__init__(store, durable=durable)
        self._read()


class PostgresqlBeside(_Beside, Postgresql):
    """In the PostgreSQL of flask-whop, which has a row already."""

    def __init__(self, store: str, *, durable: bool) -> None:
        super().__init__(store, durable=durable)
        self._read()


@cache
def _for_psycopg(statement: str) -> bytes:
    return statement.replace("?", "%s").encode()
