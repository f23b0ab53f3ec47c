"""A connection that its database has closed while it was idle costs nobody an error."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask import Flask

from flask_whop.stores import Filter, Mark, Settlement, State
from tests.stores import opened
from tests.stores.rows import LEASE, arrival, key, receipt

SERVED = ("PostgreSQL", "MariaDB", "SessionStore on PostgreSQL")
MARK = Mark("mail", "payment:pay_1", "timestamp", 100.0)
CALLS = {
    "claim": lambda store: store.claim(arrival(2), "yours", LEASE).granted,
    "accept": lambda store: store.accept(arrival(2), 0).changed,
    "take": lambda store: store.take(key(3), "yours", LEASE),
    "due": lambda store: store.due("shop", 9),
    "renew": lambda store: store.renew(key(), "mine", LEASE),
    "renew by the lifeline": lambda store: store.lifeline().renew(key(), "mine", LEASE),
    "turn": lambda store: store.turn(key(), "mine", MARK, LEASE),
    "record": lambda store: store.record(key(), "mine", receipt(store.clock()), None) is None,
    "record the last": lambda store: store.record(key(), "mine", receipt(store.clock()), DONE) is None,
    "settle": lambda store: store.settle(key(), "mine", DONE) is None,
    "replay": lambda store: store.replay(key(3)),
    "is_stale": lambda store: store.is_stale(key(), MARK, ["mail"]) is False,
    "receivers": lambda store: store.receivers("shop") == [],
    "get": lambda store: store.get(key()),
    "receipts": lambda store: store.receipts(key()) == [],
    "find": lambda store: store.find("shop", Filter(), 9),
    "stats": lambda store: store.stats("shop").counts[State.RUNNING] == 1,
    "prune": lambda store: store.prune("shop", 1.0) == 0,
}
DONE = Settlement(State.DONE)


def close_what_is_idle(engine):
    """Let the database close each connection of a pool, which knows nothing of it."""
    on_postgresql = engine.dialect.name == "postgresql"
    own, kill = (
        ("pg_backend_pid()", "SELECT pg_terminate_backend({})") if on_postgresql else ("CONNECTION_ID()", "KILL {}")
    )
    pooled = [engine.connect() for _ in range(engine.pool.checkedin())]
    numbers = [connection.scalar(sa.text(f"SELECT {own}")) for connection in pooled]
    for connection in pooled:
        connection.close()
    other = sa.create_engine(engine.url, poolclass=sa.NullPool)
    with other.connect() as connection:
        for number in numbers:
            connection.execute(sa.text(kill.format(number)))
    assert numbers


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", SERVED)
def test_a_connection_that_the_database_has_closed_is_opened_again_for_every_call(name, call, tmp_path):
    app = Flask("shop", instance_path=str(tmp_path))
    with opened(name, app) as store, app.app_context():
        store.open(owned=False, keep_bodies=True)
        store.claim(arrival(), "mine", LEASE)
        store.accept(arrival(3), 0)
        store.lifeline().renew(key(), "mine", LEASE)
        close_what_is_idle(store._engine)
        close_what_is_idle(store.lifeline()._renewals)
        assert CALLS[call](store)
        store.close()
