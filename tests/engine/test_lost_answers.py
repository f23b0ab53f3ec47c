"""What a database has done, and whose answer was lost with the connection, is done once."""

from __future__ import annotations

import pytest

from flask_whop.stores import ReceiptState, Settlement, State
from flask_whop.stores.sqlalchemy import SQLAlchemyStore
from tests.crash.cutter import Cutter
from tests.services import SERVICES, url_of
from tests.stores import new_prefix
from tests.stores.rows import LEASE, arrival, key, receipt


@pytest.fixture(params=["PostgreSQL", "MariaDB"])
def cut(request):
    """A store whose database does the next statement of some words, and whose answer to it is lost."""
    url_of(request.param)
    port, url, _ = SERVICES[request.param]
    cutter = Cutter(port, at_commit=0.0, rarely=0.0)
    store = SQLAlchemyStore(url.replace(f":{port}/", f":{cutter.port}/"), prefix=new_prefix())
    store.open(owned=False, keep_bodies=True)

    def cut_after(words):
        cutter.cut_after = words.encode()
        return store

    cut_after.store = store
    yield cut_after
    assert cutter.cut_after is None, "nothing was cut"
    store.metadata.drop_all(store._engine)
    store.close()
    cutter.close()


def test_a_claim_is_granted_once_and_as_the_first(cut):
    store = cut("'running'")
    claim = store.claim(arrival(), "mine", LEASE)
    assert (claim.granted, claim.attempts) == (True, 1)
    assert not store.claim(arrival(), "yours", LEASE).granted


def test_a_delivery_that_failed_is_claimed_again_once(cut):
    store = cut.store
    store.claim(arrival(), "first", LEASE)
    store.settle(key(), "first", Settlement(State.FAILED))
    cut("'running'")
    claim = store.claim(arrival(), "mine", LEASE)
    assert (claim.granted, claim.attempts) == (True, 2)
    assert store.get(key()).attempts == 2


def test_a_delivery_is_accepted_once(cut):
    store = cut("INSERT INTO")
    assert store.accept(arrival(), 0.0).changed
    assert not store.accept(arrival(), 0.0).changed


def test_a_delivery_is_taken_once_and_as_the_first(cut):
    store = cut.store
    store.accept(arrival(), 0.0)
    cut("UPDATE")
    taken = store.take(key(), "mine", LEASE)
    assert taken.delivery.attempts == 1
    assert store.take(key(), "yours", LEASE) is None
    assert [one.alone for one in store.due("shop", 9)] == []


@pytest.mark.parametrize("settlement", [None, Settlement(State.DONE), Settlement(State.FAILED)])
def test_a_receipt_is_written_once_and_ends_the_claim(cut, settlement):
    store = cut.store
    store.claim(arrival(), "mine", LEASE)
    cut("_receipts")
    state = ReceiptState.FAILED if settlement == Settlement(State.FAILED) else ReceiptState.DONE
    store.record(key(), "mine", receipt(store.clock(), state=state), settlement)
    assert [(one.receiver, one.state) for one in store.receipts(key())] == [("mail", state)]
    assert store.get(key()).state is (settlement.state if settlement else State.RUNNING)


def test_a_claim_is_ended_once(cut):
    store = cut.store
    store.claim(arrival(), "mine", LEASE)
    cut("UPDATE")
    store.settle(key(), "mine", Settlement(State.DONE))
    assert store.get(key()).state is State.DONE
