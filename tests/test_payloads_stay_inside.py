"""No fault of a database, and no repr, shows what a delivery holds."""

from __future__ import annotations

import logging
import threading
import traceback

import pytest
import sqlalchemy as sa
from flask import Flask

from flask_whop import WhopWebhooks
from flask_whop.errors import StoreUnavailable
from flask_whop.stores import Taken
from flask_whop.stores.sqlalchemy import SQLAlchemyStore
from tests.services import url_of
from tests.shop import Sender, new_app
from tests.stores import STORES, new_prefix, opened
from tests.stores.rows import LEASE, arrival, key

PAYLOAD = "ada-lovelace"
BODY = f'{{"name": "{PAYLOAD}"}}'.encode()


@pytest.mark.parametrize("name", STORES)
def test_what_a_store_keeps_shows_no_body(name, tmp_path):
    app = Flask("shop", instance_path=str(tmp_path))
    with opened(name, app) as store, app.app_context():
        store.open(owned=False, keep_bodies=True)
        arrived = arrival(body=BODY)
        store.accept(arrived, 0)
        taken = store.take(key(), "mine", LEASE)
        assert isinstance(taken, Taken)
        assert taken.delivery.body == BODY
        for one in (arrived, taken, taken.delivery):
            assert PAYLOAD not in f"{one!r} {one}"
            assert "msg_1" in repr(one)


@pytest.mark.parametrize("name", STORES[2:])
def test_a_statement_that_fails_shows_no_payload(name, tmp_path, caplog):
    app = Flask("shop", instance_path=str(tmp_path))
    with opened(name, app) as store, app.app_context():
        store.open(owned=False, keep_bodies=True)
        store.stats("shop")
        with store._engine.begin() as connection:
            store._tables.deliveries.drop(connection)
        caplog.set_level(logging.DEBUG)
        with pytest.raises(StoreUnavailable) as raised:
            store.claim(arrival(body=BODY), "mine", LEASE)
        with store._engine.begin() as connection:
            store._tables.deliveries.create(connection)
        told = "".join(traceback.format_exception(raised.value))
        assert "deliveries" in told
        assert PAYLOAD not in told + caplog.text


@pytest.mark.parametrize(
    ("name", "lock"),
    [
        ("PostgreSQL", "UPDATE {} SET changed_at = 1"),
        ("PostgreSQL", "LOCK TABLE {}"),
        ("MariaDB", "UPDATE {} SET changed_at = 1"),
        ("MariaDB", "LOCK TABLES {} WRITE"),
    ],
)
def test_a_lock_that_somebody_holds_is_not_waited_for_without_end(name, lock):
    app = new_app()
    store = SQLAlchemyStore(url_of(name), prefix=new_prefix())
    WhopWebhooks(app, store=store)
    sender = Sender(app)
    assert sender.deliver("payment.succeeded", id="msg_1").status_code == 200
    with store._engine.connect().execution_options(isolation_level="READ COMMITTED") as other:
        other.execute(sa.text(lock.format(store._tables.deliveries.name)))
        # Where the wait is not bounded, the answer is 200 after this.
        until = threading.Timer(20, other.invalidate)
        until.start()
        answer = sender.deliver("payment.succeeded", id="msg_1")
        until.cancel()
        other.invalidate()
    assert answer.status_code == 503
    store.metadata.drop_all(store._engine)
    store.close()
