"""What a store does costs the same with 200,000 deliveries that are done and 20,000 that are due."""

from __future__ import annotations

import itertools

import pytest

from flask_whop.stores import Filter, Hold, Key, Mark, ReceiptState, Settlement, State, Tally
from flask_whop.stores.sqlalchemy import SQLAlchemyStore
from flask_whop.stores.sqlite import SqliteStore
from tests.services import url_of
from tests.stores import new_prefix
from tests.stores.rows import LEASE, arrival, receipt

DONE, WAITING = 200_000, 20_000
START = 1_000_000.0
NOW = START + DONE + WAITING + 100
ROWS = 1_000
"""How many rows a call may look at, of 220,000; a batch of a hundred is named by its keys in three tables."""
STEPS = 60_000
"""How many steps SQLite's machine may take for it; a walk through the table takes millions."""

_numbers = itertools.count()
MARK = Mark("mail", "payment:pay_7", "timestamp", 100.0)


def new():
    return arrival(key=Key("shop", f"new_{next(_numbers)}"))


def held(store):
    one = new()
    store.claim(one, "mine", LEASE)
    return one.key


def found_to_an_edge(store, wanted):
    edge = store.edge("shop", wanted, 20)
    return edge is not None and store.find("shop", wanted._replace(down_to=edge), 20) == []


def found_given_up(store):
    wanted = Filter(receiver="mail", receipt_state=ReceiptState.GIVEN_UP, is_complete=False)
    edge = store.edge("shop", wanted, 20)  # MariaDB has no index for it, so it isn't found so far back
    return edge or [one.key.id for one in store.find("shop", wanted, 20)] == ["done_7"]


CALLS = {
    "claim what is new": lambda store: store.claim(new(), "mine", LEASE).granted,
    "claim what is done": lambda store: store.claim(arrival(key=Key("shop", "done_7")), "mine", LEASE).granted,
    "claim what is due": lambda store: not store.claim(arrival(key=Key("shop", "due_7")), "mine", LEASE).granted,
    "accept what is new": lambda store: store.accept(new(), 0.0).changed,
    "accept what is due": lambda store: not store.accept(arrival(key=Key("shop", "due_7")), 0.0).changed,
    "accept and hold": lambda store: store.accept(new(), 0.0, Hold("mine", LEASE)).changed,
    "take": lambda store: store.take(Key("shop", f"due_{100 + next(_numbers)}"), "mine", LEASE),
    "take what is done": lambda store: store.take(Key("shop", "done_9"), "mine", LEASE) is None,
    "take what is due": lambda store: len(store.take_due("shop", f"batch {next(_numbers)}", LEASE, 32)) == 32,
    "put back": lambda store: store.put_back(held(store), "mine") is None,
    "due": lambda store: store.due("shop", 20),
    "postpone": lambda store: store.postpone(Key("shop", "due_9"), NOW) is None,
    "renew": lambda store: store.renew(held(store), "mine", LEASE),
    "turn": lambda store: store.turn(held(store), "mine", MARK, LEASE),
    "record": lambda store: store.record(held(store), "mine", receipt(NOW), None) is None,
    "record and settle": lambda store: store.record(held(store), "mine", receipt(NOW), Settlement(State.DONE)) is None,
    "record a failure": lambda store: (
        store.record(held(store), "mine", receipt(NOW, state=ReceiptState.FAILED), Settlement(State.DUE, NOW)) is None
    ),
    "settle": lambda store: store.settle(held(store), "mine", Settlement(State.DEAD)) is None,
    "replay": lambda store: store.replay(Key("shop", f"done_{100 + next(_numbers)}")),
    "is_stale": lambda store: not store.is_stale(Key("shop", "done_7"), MARK, ["mail"]),
    "get": lambda store: store.get(Key("shop", "done_7")),
    "receipts": lambda store: store.receipts(Key("shop", "done_7")) is not None,
    "find the latest": lambda store: len(store.find("shop", Filter(), 20)) == 20,
    "find what is done": lambda store: len(store.find("shop", Filter([State.DONE]), 20)) == 20,
    "find what is due": lambda store: len(store.find("shop", Filter([State.DUE]), 20)) == 20,
    "find the dead ones": lambda store: len(store.find("shop", Filter([State.DEAD]), 20)) == 20,
    "find what is failed or dead": lambda store: store.find("shop", Filter([State.FAILED, State.DEAD]), 20),
    "find a type": lambda store: len(store.find("shop", Filter(event_type="refund.created"), 20)) == 20,
    "find a family of types": lambda store: len(store.find("shop", Filter(event_type="refund.*"), 20)) == 20,
    "find a type that none has": lambda store: not store.find("shop", Filter(event_type="refund.nothing"), 20),
    "find a family that none has": lambda store: not store.find("shop", Filter(event_type="nothing.*"), 20),
    "find an account": lambda store: len(store.find("shop", Filter(account_id="biz_rare"), 20)) == 20,
    "find an account that none has": lambda store: not store.find("shop", Filter(account_id="biz_none"), 20),
    "find a time": lambda store: len(store.find("shop", Filter(since=START + 9, until=START + 99), 20)) == 20,
    "find what is done of a type": lambda store: store.find("shop", Filter([State.DONE], "refund.*"), 20),
    "find what is due of an account": lambda store: store.find("shop", Filter([State.DUE], account_id="biz_1"), 20),
    "find how an id begins": lambda store: len(store.find("shop", Filter(text="done_1112"), 20)) == 20,
    "find how a resource begins": lambda store: store.find("shop", Filter(text="pay_nobody"), 20) == [],
    "find how an account begins": lambda store: len(store.find("shop", Filter(text="biz_r"), 20)) == 20,
    "find what no id begins with": lambda store: not store.find("shop", Filter(text="nobody"), 20),
    "find what a receiver has, down to an edge": lambda store: found_to_an_edge(store, Filter(receiver="nobody")),
    "find what a receiver gave up": found_given_up,
    "find what a receiver failed": lambda store: (
        store.find("shop", Filter(receiver="nobody", receipt_state=ReceiptState.DEAD, down_to=(NOW - 50, "")), 20) == []
    ),
    "find a rare account of a state": lambda store: found_to_an_edge(store, Filter([State.DUE], account_id="biz_rare")),
    "tally": lambda store: store.tally("shop", {Tally(1, "outcome", "done"): 1}) is None,
    "prune what is not there": lambda store: store.prune("shop", START - 1) == 0,
    "prune some": lambda store: store.prune("shop", START + 20_000, most=100) == 100,
}


class Worked:
    """A store, and how much work its database has had."""

    def __init__(self, store):
        self.store = store

    def fill(self):
        """Let most be done, and some be due, of which some are dead, of a rare type, or of a rare account."""
        self.store.claim(arrival(key=Key("shop", "msg_0")), "mine", LEASE)
        self.multiply(DONE, "done", "done", START)
        self.multiply(WAITING, "due", "due", START + DONE)
        for state, number in (("dead", 50), ("failed", 50)):
            self.multiply(number, state, state, START + 5)
        self.change(f"UPDATE {self.table} SET event_type = 'refund.created' WHERE id LIKE 'done_111%'")
        self.change(f"UPDATE {self.table} SET account_id = 'biz_rare' WHERE id LIKE 'done_222%'")
        self.give_up("done_7")
        self.change(f"UPDATE {self.table} SET resource = NULL WHERE id LIKE 'd%' AND id <> 'done_7'")
        # Nothing that the server has counted of it goes into its plans.

    def multiply(self, number, name, state, since):
        columns = [row[0] for row in self.columns()]
        own = {
            "id": self.joined(f"'{name}_'", "n.i"),
            "state": f"'{state}'",
            "received_at": f"{since} + n.i",
            "changed_at": f"{since} + n.i",
            "due_at": f"{since} + n.i" if state == "due" else "NULL",
            "owned": "1",
            "attempts": "0" if state == "due" else "1",
            "lease": "NULL",
        }
        self.change(
            f"INSERT INTO {self.table} ({', '.join(columns)})"
            f" WITH RECURSIVE thousand(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM thousand WHERE i < 999)"
            f" SELECT {', '.join(own.get(column, column) for column in columns)} FROM {self.table},"
            f" (SELECT 1000 * a.i + b.i + 1 AS i FROM thousand AS a, thousand AS b WHERE a.i <= {number} / 1000) AS n"
            f" WHERE id = 'msg_0' AND n.i <= {number}"
        )

    def give_up(self, delivery_id):
        key, now = Key("shop", delivery_id), self.store.clock()
        assert self.store.replay(key)
        self.store.take(key, "mine", LEASE)
        given_up = receipt(now, "mail", state=ReceiptState.GIVEN_UP)
        self.store.record(key, "mine", given_up, Settlement(State.DONE))

    def change(self, statement):
        self.store._change(statement, {})

    def joined(self, *texts):
        return " || ".join(texts)

    limit = ROWS


class OnSQLite(Worked):
    table = "whop_deliveries"
    limit = STEPS

    def columns(self):
        return self.store._select("SELECT name FROM pragma_table_info('whop_deliveries')", {})

    def work(self, call):
        self.store.get(Key("shop", "none"))
        [connection] = self.store._idle
        steps, statements = [], []
        connection.set_progress_handler(lambda: steps.append(100) or 0, 100)
        connection.set_trace_callback(statements.append)
        result = call(self.store)
        connection.set_progress_handler(None, 0)
        connection.set_trace_callback(None)
        for statement in statements:
            if statement.startswith(("SELECT", "UPDATE", "DELETE", "INSERT", "WITH")):
                plan = [row[3] for row in self.store._select(f"EXPLAIN QUERY PLAN {statement}", {})]
                assert not [step for step in plan if step.startswith("SCAN whop_")], statement
        return sum(steps), result


class OnPostgreSQL(Worked):
    def columns(self):
        return self.store._select(
            "SELECT column_name FROM information_schema.columns WHERE table_name = :table", {"table": self.table}
        )

    @property
    def table(self):
        return self.store._tables.deliveries.name

    def work(self, call):
        before = self.looked_at()
        result = call(self.store)
        return self.looked_at() - before, result

    def looked_at(self):
        self.store._select("SELECT pg_stat_force_next_flush()", {})
        rows = self.store._select(
            "SELECT (SELECT SUM(seq_tup_read + COALESCE(idx_tup_fetch, 0)) FROM pg_stat_user_tables"
            " WHERE relname LIKE :names)"
            " + (SELECT SUM(idx_tup_read) FROM pg_stat_user_indexes WHERE relname LIKE :names)",
            {"names": f"{self.store._tables.deliveries.name.removesuffix('deliveries')}%"},
        )
        return int(rows[0][0])


class OnMariaDB(OnPostgreSQL):
    def joined(self, *texts):
        return f"CONCAT({', '.join(texts)})"

    def looked_at(self):
        return sum(int(row[1]) for row in self.store._select("SHOW SESSION STATUS LIKE 'Handler_read%'", {}))


def make(name, tmp_path):
    clock = lambda: NOW  # noqa: E731
    if name == "SQLite":
        store = SqliteStore(tmp_path / "whop.sqlite3", clock=clock)
    else:
        store = SQLAlchemyStore(url_of(name.split()[0]), prefix=new_prefix(), clock=clock)
    store.open(owned=False, keep_bodies=True)
    return store


@pytest.fixture(scope="module", params=["SQLite", "PostgreSQL", "PostgreSQL with plans of an empty table", "MariaDB"])
def full(request, tmp_path_factory):
    store = make(request.param, tmp_path_factory.mktemp("store"))
    kind = {"SQLite": OnSQLite, "MariaDB": OnMariaDB}.get(request.param, OnPostgreSQL)
    worked = kind(store)
    if request.param.startswith("PostgreSQL"):
        for table in store._tables.all:
            store._change(f"ALTER TABLE {table.name} SET (autovacuum_enabled = false)", {})
    if request.param.endswith("empty table"):
        for call in list(CALLS.values()) * 12:
            call(store)
        store._change(f"DELETE FROM {worked.table}", {})
    worked.fill()
    if request.param == "PostgreSQL":
        store._change("ANALYZE", {})
    yield worked
    if request.param != "SQLite":
        store.metadata.drop_all(store._engine)
    store.close()


@pytest.mark.parametrize("name", CALLS)
def test_it_looks_at_few_rows_however_many_there_are(full, name):
    full.work(CALLS[name])  # what is asked once
    work, result = full.work(CALLS[name])
    assert result
    assert work <= full.limit


def test_what_is_not_done_is_counted_without_looking_at_what_is(full):
    work, stats = full.work(lambda store: store.stats("shop"))
    assert stats.counts[State.DUE] > 10_000
    assert work <= 5 * WAITING * (10 if full.limit == STEPS else 1)
