"""Tables of an older release are brought up to a newer one, beside which the older one goes on."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_whop.errors import ConfigError, StoreUnavailable
from flask_whop.stores import Filter, Settlement, State, schema
from flask_whop.stores.schema import Column, Index, Kind
from flask_whop.stores.sqlalchemy import SessionStore, SQLAlchemyStore
from flask_whop.stores.sqlite import SqliteStore
from tests.services import url_of
from tests.stores import new_prefix, psycopg
from tests.stores.rows import LEASE, arrival, key, receipt

NEXT = schema.VERSION + 1
KINDS = ("SQLite", "PostgreSQL", "MariaDB", "SessionStore on PostgreSQL")
DONE = Settlement(State.DONE)


class Releases:
    """One database, and the stores of several releases on it."""

    def __init__(self, kind, folder, monkeypatch):
        self.kind = kind
        self.monkeypatch = monkeypatch
        self.prefix = "whop_" if kind == "SQLite" else new_prefix()
        self.folder = folder
        self.made = []
        self.app = Flask("shop", instance_path=str(folder))
        if kind.startswith("SessionStore"):
            self.app.config["SQLALCHEMY_DATABASE_URI"] = psycopg(url_of("PostgreSQL"))
            self.db = SQLAlchemy(self.app)

    def store(self):
        """A store of the release that is installed at the moment."""
        if self.kind == "SQLite":
            store = SqliteStore(self.folder / "whop.sqlite3")
        elif self.kind.startswith("SessionStore"):
            store = SessionStore(self.db, prefix=self.prefix, metadata=sa.MetaData(), create=True)
        else:
            store = SQLAlchemyStore(url_of(self.kind), prefix=self.prefix)
        self.made.append(store)
        store.open(owned=True, keep_bodies=True)
        store.stats("shop")  # where the database is that of the session, it is reached with the first use
        return store

    def update(self, *, oldest=1):
        """Install the next release, whose deliveries have a note and an index more."""
        stars = Column("stars", Kind.WHOLE, nullable=False, default="0")
        more = (*schema.DELIVERIES.columns, Column("note", Kind.TEXT), stars)
        indexes = (*schema.DELIVERIES.indexes, Index("stars", ("endpoint", "stars"), "stars > 0"))
        newer = schema.DELIVERIES._replace(columns=more, indexes=indexes)
        self.monkeypatch.setattr(schema, "TABLES", (newer, *schema.TABLES[1:]))
        self.monkeypatch.setattr(schema, "DELIVERIES", newer)
        self.monkeypatch.setattr(schema, "VERSION", NEXT)
        self.monkeypatch.setattr(schema, "OLDEST", oldest)

    def roll_back(self):
        """Install the release before again."""
        self.monkeypatch.undo()

    def select(self, statement):
        return [tuple(row) for row in self.made[-1]._select(statement.format(self.prefix), {})]

    def indexes(self):
        if self.kind == "SQLite":
            return {row[0] for row in self.select("SELECT name FROM sqlite_master WHERE type = 'index'")}
        engine = self.made[-1]._engine
        return {one["name"] for one in sa.inspect(engine).get_indexes(f"{self.prefix}deliveries")}


@pytest.fixture(params=KINDS)
def releases(request, tmp_path, monkeypatch):
    if request.param != "SQLite":
        url_of("PostgreSQL" if request.param.startswith("SessionStore") else request.param)
    made = Releases(request.param, tmp_path, monkeypatch)
    with made.app.app_context():
        yield made
        made.roll_back()
        if request.param != "SQLite":
            made.made[0].metadata.drop_all(made.made[0]._engine)
        for store in made.made:
            store.close()


def work(store, number):
    assert store.claim(arrival(number), "mine", LEASE).granted
    store.record(key(number), "mine", receipt(store.clock()), DONE)
    assert store.get(key(number)).state is State.DONE


def test_a_newer_release_adds_what_it_needs_and_keeps_what_is_there(releases):
    work(releases.store(), 1)
    releases.update()
    newer = releases.store()
    work(newer, 2)
    assert {one.key for one in newer.find("shop", Filter(), 9)} == {key(1), key(2)}
    assert releases.select("SELECT note, stars FROM {}deliveries") == [(None, 0)] * 2
    assert releases.select("SELECT version, oldest FROM {}schema") == [(NEXT, 1)]
    assert f"{releases.prefix}deliveries_stars" in releases.indexes()


def test_an_older_release_goes_on_beside_a_newer_one_and_starts_again_after_a_rollback(releases):
    older = releases.store()
    work(older, 1)
    releases.update()
    work(releases.store(), 2)
    work(older, 3)
    releases.roll_back()
    work(releases.store(), 4)
    assert releases.select("SELECT version FROM {}schema") == [(NEXT,)]


def test_two_processes_of_a_newer_release_start_at_once(releases):
    releases.store()
    releases.update()
    first, second = releases.store(), releases.store()
    work(first, 1)
    work(second, 2)


def test_tables_that_this_release_would_spoil_are_refused_and_left_alone(releases):
    work(releases.store(), 1)
    releases.update(oldest=NEXT)
    releases.store()
    releases.roll_back()
    with pytest.raises((ConfigError, StoreUnavailable), match=rf"version {NEXT}, which a newer release"):
        work(releases.store(), 2)
    assert releases.made[0].get(key(1))


def test_tables_of_the_first_version_get_what_has_come_since(releases):
    first = releases.store()
    work(first, 1)
    for statement in (
        "DROP TABLE {}notes",
        "ALTER TABLE {}receipts DROP COLUMN answer",
        "ALTER TABLE {}deliveries DROP COLUMN trace",
        "UPDATE {}schema SET version = 1",
    ):
        first._change(statement.format(releases.prefix), {})
    first.close()
    store = releases.store()
    work(store, 2)
    store.put_note("shop", "began", 1.0)
    assert [one.answer for one in store.receipts(key(1))] == [None]
    assert store.get(key(1)).trace is None


def test_every_column_may_be_added_to_tables_that_are_in_use():
    first = {"endpoint", "id", "event_type", "state", "owned", "attempts", "lapses"}
    first |= {"received_at", "opened_at", "changed_at"}
    required = {one.name for one in schema.DELIVERIES.columns if not one.nullable and one.default is None}
    assert required == first, "what is added later is nullable or has a default"


def test_no_index_of_postgresql_is_made_under_a_lock(tmp_path, monkeypatch):
    releases = Releases("PostgreSQL", tmp_path, monkeypatch)
    older = releases.store()
    work(older, 1)
    releases.update()
    made = []
    real = sa.schema.CreateIndex

    def noted(index, **options):
        # Somebody writes to the table while the index is made.
        work(older, 2)
        made.append(index.name)
        return real(index, **options)

    monkeypatch.setattr(sa.schema, "CreateIndex", noted)
    statements = []

    def note(*seen):
        statements.append(seen[2])

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    newer = releases.store()
    sa.event.remove(sa.Engine, "before_cursor_execute", note)
    assert made == [f"{releases.prefix}deliveries_stars"]
    assert any(statement.startswith("CREATE INDEX CONCURRENTLY") for statement in statements)
    newer.metadata.drop_all(newer._engine)
    newer.close()
    older.close()


def test_an_index_that_was_left_half_made_is_made_again(tmp_path, monkeypatch):
    releases = Releases("PostgreSQL", tmp_path, monkeypatch)
    older = releases.store()
    name = f"{releases.prefix}deliveries_stars"
    older._change(f"CREATE INDEX {name} ON {releases.prefix}deliveries (id)", {})
    older._change(f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{name}'::regclass", {})
    releases.update()
    newer = releases.store()
    assert releases.select(f"SELECT indisvalid FROM pg_index WHERE indexrelid = '{name}'::regclass") == [(True,)]
    newer.metadata.drop_all(newer._engine)
    newer.close()
    older.close()


def test_a_file_of_before_any_release_is_made_anew_where_it_is_empty(tmp_path):
    with closing(sqlite3.connect(tmp_path / "whop.sqlite3")) as connection:
        connection.execute("CREATE TABLE another (id INTEGER)")
    store = SqliteStore(tmp_path / "whop.sqlite3")
    store.open(owned=True, keep_bodies=True)
    work(store, 1)
    store.close()


def affinity(declared):
    """How SQLite reads the type of a column: two that it reads alike are the same to it."""
    declared = declared.upper()
    words = (
        ("INT", "INTEGER"),
        ("CHAR", "TEXT"),
        ("TEXT", "TEXT"),
        ("BLOB", "BLOB"),
        ("DOUB", "REAL"),
        ("REAL", "REAL"),
    )
    return next(name for word, name in words if word in declared)


def description(file):
    """Everything SQLite knows of our tables in a file, but for the order in which they were made."""
    with closing(sqlite3.connect(file)) as connection:

        def rows(statement, *values):
            return connection.execute(statement, values).fetchall()

        described = {}
        for table in schema.TABLES:
            name = f"whop_{table.name}"
            columns = [
                (column, affinity(kind), bool(required), default, key)
                for _, column, kind, required, default, key in rows(f"PRAGMA table_info({name})")
            ]
            indexes = {}
            for _, index, unique, _, partial in rows(f"PRAGMA index_list({name})"):
                [(sql,)] = rows("SELECT sql FROM sqlite_master WHERE name = ?", index) or [(None,)]
                if sql is not None:  # the others are those of the keys
                    condition = " ".join(sql.partition(" WHERE ")[2].split())
                    parts = [part for _, _, part in rows(f"PRAGMA index_info({index})")]
                    indexes[index] = (parts, bool(unique), bool(partial), condition)
            described[name] = columns, indexes
        return described


def test_both_stores_make_the_same_tables_in_a_sqlite_file(tmp_path):
    ours, theirs = tmp_path / "ours.sqlite3", tmp_path / "theirs.sqlite3"
    for store in (SqliteStore(ours), SQLAlchemyStore(f"sqlite:///{theirs}")):
        store.open(owned=True, keep_bodies=True)
        store.close()
    made = description(ours)
    assert made == description(theirs)
    assert [name for name, *_ in made["whop_deliveries"][0]] == [column.name for column in schema.DELIVERIES.columns]
    assert {f"whop_deliveries_{index.name}" for index in schema.INDEXES} == set(made["whop_deliveries"][1])
