"""The six stores in which every promise has to hold, each with tables of its own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from flask_sqlalchemy import SQLAlchemy

from flask_whop.stores import MemoryStore
from flask_whop.stores.sqlalchemy import SessionStore, SQLAlchemyStore
from flask_whop.stores.sqlite import SqliteStore
from tests.services import url_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask

    from flask_whop.stores import Store

STORES = (
    "memory",
    "SQLite",
    "PostgreSQL",
    "MariaDB",
    "SessionStore on SQLite",
    "SessionStore on PostgreSQL",
)
DURABLE = STORES[1:]
JOINED = STORES[4:]


def new_prefix() -> str:
    """A beginning for the names of tables that no other test has."""
    return f"t{uuid4().hex[:12]}_"


def psycopg(url: str) -> str:
    """The URL of a PostgreSQL as SQLAlchemy wants it for the driver that the extra installs."""
    return url.replace("postgresql://", "postgresql+psycopg://")


@contextmanager
def opened(name: str, app: Flask, *, db: SQLAlchemy | None = None, **options: Any) -> Iterator[Store]:
    """Make one of the six for ``app``, and leave nothing of it.

    A SessionStore is on ``db``, whose tables are made too.
    """
    if name == "memory":
        yield MemoryStore(**options)
    elif name == "SQLite":
        store = SqliteStore(f"{app.instance_path}/whop.sqlite3", **options)
        yield store
        store.close()
    elif name in JOINED:
        with _joined(name, app, db or SQLAlchemy(), options) as store:
            yield store
    else:
        store = SQLAlchemyStore(url_of(name), prefix=new_prefix(), **options)
        yield store
        store.metadata.drop_all(store._engine)
        store.close()


@contextmanager
def _joined(name: str, app: Flask, db: SQLAlchemy, options: dict[str, Any]) -> Iterator[Store]:
    on_sqlite = name.endswith("SQLite")
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///host.sqlite3" if on_sqlite else psycopg(url_of("PostgreSQL"))
    db.init_app(app)
    store = SessionStore(db, prefix=new_prefix(), **options)
    with app.app_context():
        db.create_all()
    yield store
    with app.app_context():
        db.session.remove()
        db.drop_all()
        db.engine.dispose()
    store.close()
