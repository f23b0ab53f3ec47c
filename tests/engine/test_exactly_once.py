"""What a receiver writes through the host's session happens once, and nothing of the host's is touched by it."""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref
from types import SimpleNamespace
from uuid import uuid4

import pytest
import sqlalchemy as sa
from flask import Flask, got_request_exception
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import scoped_session, sessionmaker

from flask_whop import WhopWebhooks, signals
from flask_whop.engine.installation import Installation
from flask_whop.engine.leases import LeaseKeeper
from flask_whop.errors import StoreUnavailable
from flask_whop.stores import Arrival, Key, ReceiptState, State
from flask_whop.stores.joining import begin_watch, end_watch, watch_sessions_of
from flask_whop.stores.sqlalchemy import SessionStore, SQLAlchemyStore
from tests.crash.driver import wait_until
from tests.services import url_of
from tests.shop import SECRET, Sender, new_app
from tests.stores import new_prefix, psycopg

URLS = {
    "SQLite": lambda: "sqlite:///host.sqlite3",
    "PostgreSQL": lambda: psycopg(url_of("PostgreSQL")),
    "MariaDB": lambda: url_of("MariaDB").replace("mysql://", "mysql+pymysql://"),
}


class Host:
    """An app whose receivers write orders through db.session, in the database of the receipts."""

    def __init__(self, kind, tmp_path, *, binds=None, options=None, metadata=None, **config):
        self.app = Flask("shop", instance_path=str(tmp_path))
        self.url = URLS[kind]()
        self.app.config.update(
            SQLALCHEMY_DATABASE_URI=self.url,
            SQLALCHEMY_BINDS=binds or {},
            SQLALCHEMY_ENGINE_OPTIONS=options or {},
            WHOP_WEBHOOK_SECRET=SECRET,
            **config,
        )
        self.db = SQLAlchemy(self.app, metadata=metadata)
        self.prefix = new_prefix()

        class Order(self.db.Model):
            __tablename__ = f"{self.prefix}orders"
            id = sa.Column(sa.Integer, primary_key=True)
            payment = sa.Column(sa.String(50))

        self.Order = Order
        self.store = SessionStore(self.db, prefix=self.prefix)
        self.whop = WhopWebhooks(self.app, store=self.store)
        self.leases = Installation.of(self.app).engine.leases

    def create(self):
        with self.app.app_context():
            self.db.create_all()
        return self

    def drop(self):
        with self.app.app_context():
            self.db.session.remove()
            self.db.drop_all()
            for engine in self.db.engines.values():
                engine.dispose()
        self.store.close()

    def add(self, payment):
        self.db.session.add(self.Order(payment=payment))

    def deliver(self, delivery_id="msg_1", payment="pay_1"):
        return Sender(self.app).deliver("payment.succeeded", {"id": payment}, id=delivery_id)

    def orders(self):
        with self.app.app_context():
            return list(self.db.session.scalars(sa.select(self.Order.payment).order_by(self.Order.id)))

    def receipt(self, receiver="fulfil", delivery_id="msg_1"):
        with self.app.app_context():
            return {one.receiver: one for one in self.store.receipts(Key("shop", delivery_id))}.get(receiver)

    def state(self, delivery_id="msg_1"):
        with self.app.app_context():
            return self.store.get(Key("shop", delivery_id)).state

    def lapse(self):
        """Let the lease on what is running run out, as it does for a process that is frozen."""
        with self.app.app_context():
            self.store._change(f"UPDATE {self.prefix}deliveries SET lease_until = 0 WHERE state = 'running'", {})

    def elsewhere(self, act):
        """Do something in another thread, as another process would, and wait for it."""
        failures = []

        def run():
            try:
                act()
            except BaseException as error:  # noqa: BLE001  # shown below
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        assert failures == []


@pytest.fixture
def host(request, tmp_path):
    made = []

    def make(kind="PostgreSQL", **how):
        made.append(Host(kind, tmp_path, **how).create())
        return made[-1]

    yield make
    for one in made:
        one.drop()


@pytest.fixture(params=URLS)
def joined(request, host):
    return host(request.param)


# The fence.


def test_a_late_holder_commits_nothing_and_answers_that_it_is_done(joined, caplog):
    calls = []

    @joined.whop.on("payment.succeeded", name="fulfil")
    def fulfil(app, event):
        calls.append(event.id)
        if len(calls) == 1:
            joined.lapse()
            joined.elsewhere(lambda: statuses.append(joined.deliver().json["status"]))
        joined.add(f"order {len(calls)}")

    statuses = []
    answer = joined.deliver()
    assert statuses == ["processed"]
    assert (answer.status_code, answer.json["status"]) == (200, "duplicate")
    assert joined.orders() == ["order 2"]
    assert (joined.receipt().state, joined.receipt().attempts) == (ReceiptState.DONE, 1)
    assert "has been taken over" in caplog.text


def test_a_late_holder_answers_409_while_the_other_one_runs(joined):
    @joined.whop.on("payment.succeeded", name="fulfil")
    def fulfil(app, event):
        joined.lapse()
        joined.elsewhere(take_over)
        joined.add("late")

    def take_over():
        with joined.app.app_context():
            assert joined.store.take(Key("shop", "msg_1"), "other", 30.0)
            joined.store._change(f"UPDATE {joined.prefix}deliveries SET owned = 0", {})

    assert joined.deliver().status_code == 409
    assert (joined.orders(), joined.receipt()) == ([], None)


def test_a_late_failure_does_not_overwrite_that_it_is_done(joined):
    calls = []

    @joined.whop.on("payment.succeeded", name="fulfil")
    def fulfil(app, event):
        calls.append(event.id)
        if len(calls) == 1:
            joined.lapse()
            joined.elsewhere(joined.deliver)
            raise ValueError("late")
        joined.add("order")

    assert joined.deliver().status_code == 200
    assert (joined.orders(), joined.receipt().state, joined.state()) == (["order"], ReceiptState.DONE, State.DONE)


def test_nobody_further_is_called_by_a_late_holder(joined):
    calls = []

    @joined.whop.on("payment.succeeded", name="fulfil")
    def fulfil(app, event):
        calls.append("fulfil")
        if len(calls) == 1:
            joined.lapse()
            joined.elsewhere(joined.deliver)

    joined.whop.on("payment.succeeded", name="second")(lambda app, event: calls.append("second"))
    joined.deliver()
    assert calls == ["fulfil", "fulfil", "second"]


def test_a_store_that_is_not_joined_is_not_changed_by_a_late_holder_either(tmp_path):
    app = new_app(tmp_path)
    whop = WhopWebhooks(app)
    store = Installation.of(app).store
    calls = []

    @whop.on("payment.succeeded", name="fulfil")
    def fulfil(app, event):
        calls.append(event.id)
        if len(calls) == 1:
            store._change("UPDATE whop_deliveries SET lease_until = 0", {})
            assert Sender(app).deliver("payment.succeeded", id="msg_1").json["status"] == "processed"
            raise ValueError("late")

    assert Sender(app).deliver("payment.succeeded", id="msg_1").json["status"] == "duplicate"
    [receipt] = store.receipts(Key("shop", "msg_1"))
    assert (receipt.state, receipt.attempts) == (ReceiptState.DONE, 1)


# Leases.


def test_a_lease_is_renewed_though_receivers_have_taken_every_connection(host):
    shop = host(options={"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.5})
    shop.leases.lease = 0.6

    @shop.whop.on("payment.succeeded", name="fulfil")
    def fulfil(app, event):
        shop.add("order")
        shop.db.session.flush()
        until = time.monotonic() + 2
        while time.monotonic() < until:
            rows = watcher._select(f"SELECT lease_until > :now FROM {shop.prefix}deliveries", {"now": time.time()})
            held.append(bool(rows[0][0]))
            time.sleep(0.05)

    held = []
    watcher = SQLAlchemyStore(url_of("PostgreSQL"), prefix=shop.prefix, create=False)
    watcher.open(owned=True, keep_bodies=True)
    try:
        assert shop.deliver().status_code == 200
    finally:
        watcher.close()
    assert held
    assert all(held)
    assert shop.orders() == ["order"]


def test_renewals_have_a_connection_like_the_hosts_and_close_it_when_idle(host):
    named = f"whop-{uuid4().hex[:8]}"
    shop = host(options={"connect_args": {"application_name": named}})
    shop.leases.lease = 0.4
    connected = []
    with shop.app.app_context():
        sa.event.listen(shop.db.engine, "connect", lambda connection, record: connected.append(connection))
        watcher = sa.create_engine(shop.url)

    def count():
        with watcher.connect() as connection:
            return connection.scalar(
                sa.text("SELECT count(*) FROM pg_stat_activity WHERE application_name = :named"), {"named": named}
            )

    @shop.whop.on("payment.succeeded", name="fulfil")
    def fulfil(app, event):
        before = len(connected)
        wait_until(lambda: len(connected) > before, "a renewal by a connection made as the host's are", str)
        most.append(count())

    most = []
    assert shop.deliver().status_code == 200
    wait_until(lambda: count() < most[0], "the connection for renewals to be closed", str)
    watcher.dispose()


def test_machines_whose_clocks_differ_by_ten_minutes_respect_each_others_claims(monkeypatch):
    prefix, real = new_prefix(), time.time
    stores = []
    for shift in (0, 600, -600):
        monkeypatch.setattr(time, "time", lambda shift=shift: real() + shift)
        stores.append(SQLAlchemyStore(url_of("PostgreSQL"), prefix=prefix))
        stores[-1].open(owned=True, keep_bodies=True)
        assert abs(stores[-1].clock() - real()) < 5
    from tests.stores.rows import LEASE, arrival

    assert [store.claim(arrival(), f"of {n}", LEASE).granted for n, store in enumerate(stores)] == [True, False, False]
    # A clock that is set while the process runs is noticed as well.
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    assert not stores[1].claim(arrival(), "again", LEASE).granted
    assert abs(stores[1].clock() - real()) < 5
    stores[0].metadata.drop_all(stores[0]._engine)
    for store in stores:
        store.close()


def test_a_machine_that_slept_asks_the_database_for_the_time_again(monkeypatch):
    store = SQLAlchemyStore(url_of("PostgreSQL"), prefix=new_prefix())
    store.open(owned=True, keep_bodies=True)
    # While it sleeps the monotonic clock stands still, and the wall clock is set afterwards.
    slept = SimpleNamespace(time=time.time, monotonic=lambda: time.monotonic() - 3600)
    monkeypatch.setattr("flask_whop.stores.database.time", slept)
    assert abs(store.clock() - time.time()) > 3000
    assert store.due("shop", 1) == []
    assert abs(store.clock() - time.time()) < 5
    store.metadata.drop_all(store._engine)
    store.close()


def test_the_time_zone_of_a_connection_does_not_matter():
    engine = sa.create_engine(URLS["MariaDB"](), connect_args={"init_command": "SET time_zone = '+05:00'"})
    store = SQLAlchemyStore(engine, prefix=new_prefix())
    store.open(owned=True, keep_bodies=True)
    assert abs(store.clock() - time.time()) < 5
    store.metadata.drop_all(engine)
    engine.dispose()


def test_a_row_that_somebody_locks_does_not_keep_other_leases_from_being_renewed(host):
    shop = host()
    names = ("msg_locked", "msg_other")
    with shop.app.app_context():
        lifeline = shop.store.lifeline()
        for name in names:
            arrival = Arrival(Key("shop", name), "payment.succeeded", None, None, None, None, 0, 0, b"{}")
            assert shop.store.claim(arrival, name, 30.0).granted
        with shop.db.engine.begin() as connection:
            row = f"SELECT 1 FROM {shop.prefix}deliveries WHERE id = 'msg_locked' FOR UPDATE"
            connection.execute(sa.text(row))
            with pytest.raises(StoreUnavailable):  # after three seconds, not when it is let go
                lifeline.renew(Key("shop", "msg_locked"), "msg_locked", 30.0)
            assert lifeline.renew(Key("shop", "msg_other"), "msg_other", 30.0)
        assert lifeline.renew(Key("shop", "msg_locked"), "msg_locked", 30.0)


def test_claims_that_are_held_for_the_first_time_at_once_are_all_renewed():
    class Noting:
        def renew(self, key, token, lease, mark):
            renewed.add(token)
            return True

        def rest(self):
            """Nothing was opened."""

    renewed, lifeline = set(), Noting()
    keeper, barrier = LeaseKeeper(lease=30.0, longest=3600.0), threading.Barrier(16)

    def hold(number):
        barrier.wait()
        keeper.hold(Key("shop", f"msg_{number}"), str(number), lifeline).since -= 60

    threads = [threading.Thread(target=hold, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keeper.renew()
    assert renewed == {str(number) for number in range(16)}


@pytest.mark.parametrize("service", ["PostgreSQL", "MariaDB"])
def test_the_clock_is_the_databases(service, monkeypatch):
    store = SQLAlchemyStore(url_of(service), prefix=new_prefix())
    right = time.time
    monkeypatch.setattr("time.time", lambda: right() + 3600)
    store.open(owned=True, keep_bodies=True)
    assert store.clock() == pytest.approx(right(), abs=2)
    store.metadata.drop_all(store._engine)
    store.close()


# The host's transaction.


@pytest.mark.parametrize("listener", ["receiver_failed", "got_request_exception"])
def test_what_a_failed_receiver_wrote_is_gone_before_anybody_hears_of_it(joined, listener):
    @joined.whop.on("payment.succeeded", name="fulfil")
    def fulfil(app, event):
        joined.add("half an order")
        joined.db.session.flush()
        raise ValueError("no")

    def note(*_args, **_about):
        joined.add("a note of the failure")
        joined.db.session.commit()

    if listener == "receiver_failed":
        signals.receiver_failed.connect(lambda app, event, receiver, error: note(), joined.app)
    else:
        got_request_exception.connect(note, joined.app)
    assert joined.deliver().status_code == 500
    got_request_exception.disconnect(note, joined.app)
    assert joined.orders() == ["a note of the failure"]


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_a_receiver_starts_in_a_transaction_of_its_own_whatever_hooks_have_read(host, level):
    shop = host(options={"isolation_level": level})

    @shop.app.before_request
    def look_a_user_up():
        shop.db.session.scalars(sa.select(shop.Order)).all()

    for name in ("first", "second"):
        shop.whop.on("payment.succeeded", name=name)(lambda app, event, name=name: shop.add(name))
    assert [shop.deliver().status_code for _ in range(2)] == [200, 200]
    assert shop.orders() == ["first", "second"]


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_a_receiver_that_outlives_its_first_lease_commits_at_every_isolation_level(host, level):
    shop = host(options={"isolation_level": level})
    shop.leases.lease = 0.4

    @shop.whop.on("payment.succeeded", name="slow")
    def slow(app, event):
        shop.add("slow")
        shop.db.session.flush()
        time.sleep(1)

    shop.whop.on("payment.succeeded", name="quick")(lambda app, event: shop.add("quick"))
    assert [shop.deliver().json["status"] for _ in range(2)] == ["processed", "duplicate"]
    assert (shop.orders(), shop.state()) == (["slow", "quick"], State.DONE)


@pytest.mark.parametrize("first", ["late", "other"])
@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_late_holder_that_sees_a_snapshot_does_not_double_whoever_commits_first(host, level, first):
    shop = host(options={"isolation_level": level})
    calls, reached, released = [], threading.Event(), threading.Event()

    def freeze(session):
        """Stand still between the fence and the commit, as a frozen process does."""
        if len(calls) == 1 and first == "other" and not reached.is_set():
            reached.set()
            assert released.wait(20)

    @shop.whop.on("payment.succeeded", name="fulfil")
    def fulfil(app, event):
        calls.append(event.id)
        shop.add("order")
        shop.db.session.flush()
        if len(calls) == 1 and first == "late":
            shop.lapse()
            shop.elsewhere(shop.deliver)

    with shop.app.app_context():
        sa.event.listen(shop.db.session.session_factory, "before_commit", freeze)
    if first == "late":
        shop.deliver()
    else:
        late = threading.Thread(target=shop.deliver)
        late.start()
        assert reached.wait(20)
        shop.lapse()
        other = threading.Thread(target=shop.deliver)
        other.start()
        time.sleep(0.5)  # the other one waits for the receipt of the late one
        released.set()
        late.join()
        other.join()
    assert shop.deliver().status_code == 200
    assert (shop.orders(), shop.state()) == (["order"], State.DONE)


def test_what_a_hook_has_added_and_not_committed_is_not_committed_with_a_receivers_writes(joined):
    @joined.app.before_request
    def log_the_request():
        joined.add("half a log line")

    joined.whop.on("payment.succeeded", name="fulfil")(lambda app, event: joined.add("order"))
    assert joined.deliver().status_code == 200
    assert joined.orders() == ["order"]


def test_a_second_database_in_a_receivers_transaction_fails_it_before_the_commit(host, tmp_path, caplog):
    shop = host("SQLite", binds={"other": "sqlite:///other.sqlite3"})

    @shop.whop.on("payment.succeeded", name="fulfil")
    def fulfil(app, event):
        shop.add("order")
        shop.db.session.execute(sa.text("SELECT 1"), bind_arguments={"bind": shop.db.engines["other"]})

    @shop.whop.on("payment.succeeded", name="single")
    def single(app, event):
        shop.add("single")

    assert shop.deliver().status_code == 500
    assert shop.orders() == ["single"]
    assert "second database" in shop.receipt().error
    assert shop.receipt("single").state is ReceiptState.DONE


def test_an_apps_context_pushed_in_a_receiver_fails_it_with_the_reason(joined):
    @joined.whop.on("payment.succeeded", name="fulfil")
    def fulfil(app, event):
        with app.app_context():
            joined.add("parted")
            joined.db.session.flush()

    assert joined.deliver().status_code == 500
    assert joined.orders() == []
    assert "Leave out `with app.app_context():`" in joined.receipt().error


def test_an_async_receiver_writes_through_the_hosts_session(joined):
    @joined.whop.on("payment.succeeded", name="fulfil")
    async def fulfil(app, event):
        joined.add("order")

    assert joined.deliver().status_code == 200
    assert joined.orders() == ["order"]


def test_an_async_receiver_with_sessions_that_belong_to_threads_is_refused_with_the_reason(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'plain.sqlite3'}")
    session = scoped_session(sessionmaker(engine))
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE orders (payment TEXT)"))
    app = new_app(tmp_path)
    whop = WhopWebhooks(app, store=SessionStore(session))

    @whop.on("payment.succeeded", name="fulfil")
    async def fulfil(app, event):
        session.execute(sa.text("INSERT INTO orders VALUES ('lost')"))
        session.rollback()

    assert Sender(app).deliver("payment.succeeded", id="msg_1").status_code == 500
    [receipt] = Installation.of(app).store.receipts(Key("shop", "msg_1"))
    assert "don't make the receiver a coroutine" in receipt.error
    session.remove()
    engine.dispose()


def test_sessions_are_watched_whose_makers_stand_where_others_have_stood(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'plain.sqlite3'}")
    ids = set()
    gc.disable()  # what a maker leaves behind goes when the collector comes
    try:
        for _ in range(20):
            session = scoped_session(sessionmaker(engine))
            watch_sessions_of(session.session_factory)
            ids.add(id(session.session_factory))
            begin_watch(object(), engine)
            session.execute(sa.text("SELECT 1"))
            assert "another session" in end_watch()
            session.remove()
            del session
    finally:
        gc.enable()
    assert len(ids) < 20, "no maker has stood where another one had"
    engine.dispose()


def test_a_delivery_in_a_receiver_through_the_same_session_fails_the_receiver_with_the_reason(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'plain.sqlite3'}")
    session = scoped_session(sessionmaker(engine))
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE orders (payment TEXT)"))
    app = new_app(tmp_path)
    whop = WhopWebhooks(app, store=SessionStore(session))
    inner = []

    @whop.on("payment.succeeded", name="outer")
    def outer(app, event):
        session.execute(sa.text("INSERT INTO orders VALUES ('outer')"))
        inner.append(Sender(app).deliver("refund.created", id="msg_inner").json["status"])

    @whop.on("refund.created", name="inner")
    def refund(app, event):
        session.execute(sa.text("INSERT INTO orders VALUES ('inner')"))

    assert Sender(app).deliver("payment.succeeded", id="msg_1").status_code == 500
    assert inner == ["processed"]
    [receipt] = Installation.of(app).store.receipts(Key("shop", "msg_1"))
    assert "It processed another delivery while it ran" in receipt.error
    session.rollback()
    assert list(session.scalars(sa.text("SELECT payment FROM orders"))) == ["inner"]
    session.remove()
    engine.dispose()


def test_a_pool_of_one_connection_is_enough_where_transactions_see_snapshots(host):
    shop = host(options={"isolation_level": "REPEATABLE READ", "pool_size": 1, "max_overflow": 0, "pool_timeout": 1})
    for name in ("first", "second"):
        shop.whop.on("payment.succeeded", name=name)(lambda app, event, name=name: shop.add(name))
    assert shop.deliver().json["status"] == "processed"
    assert shop.orders() == ["first", "second"]


def test_an_engine_that_commits_by_itself_is_refused(tmp_path, caplog):
    engine = sa.create_engine(psycopg(url_of("PostgreSQL")), isolation_level="AUTOCOMMIT")
    app = new_app(tmp_path)
    store = SessionStore(scoped_session(sessionmaker(engine)), prefix=new_prefix())
    WhopWebhooks(app, store=store)
    assert Sender(app).deliver("payment.succeeded", id="msg_1").status_code == 503
    assert "SessionStore needs transactions" in caplog.text
    store.metadata.drop_all(engine)
    engine.dispose()


def test_a_serialization_failure_at_the_commit_comes_back_as_a_retry(host):
    shop = host(WHOP_DISPATCH="worker")
    with shop.app.app_context():
        shop.db.session.execute(
            sa.text(
                f"CREATE FUNCTION {shop.prefix}refuse() RETURNS trigger AS $$ BEGIN"
                " IF NEW.payment = 'refused' THEN RAISE EXCEPTION USING ERRCODE = '40001'; END IF;"
                " RETURN NEW; END $$ LANGUAGE plpgsql"
            )
        )
        shop.db.session.execute(
            sa.text(
                f"CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON {shop.prefix}orders"
                f" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {shop.prefix}refuse()"
            )
        )
        shop.db.session.commit()
    payments = ["refused", "pay_1"]
    shop.whop.on("payment.succeeded", name="fulfil")(lambda app, event: shop.add(payments.pop(0)))
    shop.deliver()
    with shop.app.app_context():
        Installation.of(shop.app).engine.run(Key("shop", "msg_1"))
    assert (shop.state(), shop.receipt().state, shop.orders()) == (State.DUE, ReceiptState.FAILED, [])
    with shop.app.app_context():
        Installation.of(shop.app).engine.run(Key("shop", "msg_1"), early=True)
        shop.store.replay(Key("shop", "msg_1"))
        Installation.of(shop.app).engine.run(Key("shop", "msg_1"))
    assert (shop.state(), shop.orders()) == (State.DONE, ["pay_1"])
    with shop.app.app_context():
        shop.db.session.execute(sa.text(f"DROP FUNCTION {shop.prefix}refuse CASCADE"))
        shop.db.session.commit()


@pytest.mark.parametrize("reached", [False, True], ids=["before", "after"])
def test_a_connection_that_is_cut_in_mid_commit_is_looked_after(host, reached):
    shop = host()
    cut = [True]

    def kill_backend(session):
        """Cut the connection of a session right before, or right after, its commit."""
        session.flush()
        if cut:
            cut.clear()
            connection = session.connection()
            pid = connection.scalar(sa.text("SELECT pg_backend_pid()"))
            if reached:
                connection.connection.dbapi_connection.commit()
            with shop.db.engine.connect() as other:
                other.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
            time.sleep(0.1)

    @shop.whop.on("payment.succeeded", name="fulfil")
    def fulfil(app, event):
        shop.add(event.data.id)

    with shop.app.app_context():
        sa.event.listen(shop.db.session.session_factory, "before_commit", kill_backend)
    statuses = [shop.deliver().json["status"] for _ in range(2)]
    assert statuses == (["processed", "duplicate"] if reached else ["failed", "processed"])
    assert shop.orders() == ["pay_1"]


@pytest.mark.parametrize(
    "error",
    [
        SimpleNamespace(sqlstate="40P01", args=("deadlock",)),
        SimpleNamespace(pgcode="40001", args=("serialize",)),
        SimpleNamespace(args=(1213, "Deadlock found")),
        SimpleNamespace(args=({"C": "40P01", "M": "deadlock"},)),
    ],
    ids=["psycopg", "psycopg2", "pymysql", "pg8000"],
)
def test_a_deadlock_is_known_by_whatever_driver_tells_of_it(monkeypatch, error):
    tries = []
    reach = SQLAlchemyStore._returning

    def refused_once(store, *statement):
        tries.append(store)
        if len(tries) == 1:
            raise StoreUnavailable("no") from sa.exc.OperationalError("UPDATE", {}, error)
        return reach(store, *statement)

    monkeypatch.setattr(SQLAlchemyStore, "_returning", refused_once)
    assert SQLAlchemyStore("sqlite://").take(Key("shop", "msg_1"), "token", 30.0) is None
    assert len(tries) == 2


# What is the host's.


def test_the_engine_of_an_app_that_is_gone_is_not_kept(tmp_path):
    db = SQLAlchemy()
    store, engines = SessionStore(db, prefix=new_prefix()), []
    for _ in range(3):
        app = Flask("shop", instance_path=str(tmp_path))
        app.config.update(SQLALCHEMY_DATABASE_URI="sqlite://", WHOP_WEBHOOK_SECRET=SECRET)
        db.init_app(app)
        WhopWebhooks(app, store=store)
        with app.app_context():
            db.create_all()
            engines.append(weakref.ref(db.engine))
        assert Sender(app).deliver("payment.succeeded").status_code == 200
    del app
    for _ in range(3):  # what one collection finds, the next one may free
        gc.collect()
    assert [engine() is None for engine in engines[:2]] == [True, True]


def test_no_connection_of_the_host_is_held_while_receivers_run(host):
    shop = host(options={"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.5})
    free = []

    @shop.app.before_request
    def look_a_user_up():
        shop.db.session.scalars(sa.select(shop.Order)).all()

    for name in ("first", "second"):
        shop.whop.on("payment.succeeded", name=name)(lambda app, event: free.append(shop.db.engine.pool.checkedout()))
    assert shop.deliver().status_code == 200
    assert free == [0, 0]


@pytest.mark.parametrize("dispatch", ["inline", "worker"])
def test_no_setting_is_left_on_the_connections_of_an_engine_of_the_host(tmp_path, dispatch):
    engine = sa.create_engine(psycopg(url_of("PostgreSQL")), pool_size=1, max_overflow=0)

    def settings():
        with engine.connect() as connection:
            rows = connection.execute(sa.text("SELECT name, setting FROM pg_settings")).fetchall()
            return dict(map(tuple, rows)), connection.connection.dbapi_connection.autocommit

    before = settings()
    app = new_app(tmp_path, WHOP_DISPATCH=dispatch)
    store = SQLAlchemyStore(engine, prefix=new_prefix())
    WhopWebhooks(app, store=store)
    assert Sender(app).deliver("payment.succeeded").status_code == 200
    assert settings() == before
    store.metadata.drop_all(engine)
    engine.dispose()


@pytest.fixture
def schema():
    engine = sa.create_engine(psycopg(url_of("PostgreSQL")))
    name = f"s{uuid4().hex[:12]}"
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE SCHEMA {name}"))
    yield name
    with engine.begin() as connection:
        connection.execute(sa.text(f"DROP SCHEMA {name} CASCADE"))
    engine.dispose()


@pytest.mark.parametrize("inside", [False, True], ids=["default schema", "schema of its own"])
def test_alembic_finds_our_tables_in_the_metadata_and_wants_to_drop_none(host, schema, inside):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    shop = host(metadata=sa.MetaData(schema=schema if inside else None))

    def is_ours(name, kind, parents):
        if kind == "schema":
            return name == (schema if inside else None)
        return kind != "table" or name.startswith(shop.prefix)

    shop.whop.on("payment.succeeded", name="fulfil")(lambda app, event: shop.add("order"))
    assert shop.deliver().status_code == 200
    assert shop.orders() == ["order"]
    with shop.app.app_context(), shop.db.engine.connect() as connection:
        options = {"include_schemas": inside, "compare_type": True, "include_name": is_ours}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, shop.db.metadata) == []
        shop.db.metadata.remove(shop.store.metadata.tables[f"{schema + '.' if inside else ''}{shop.prefix}receipts"])
        assert "receipts" in str(compare_metadata(context, shop.db.metadata))


def test_a_session_of_flask_sqlalchemy_leads_to_the_metadata_too():
    db = SQLAlchemy()
    store = SessionStore(db.session, prefix="hooks_")
    assert store.metadata is db.metadata


def test_tables_that_are_not_made_yet_are_asked_for(tmp_path):
    shop = Host("SQLite", tmp_path)
    answer = shop.deliver()
    assert answer.status_code == 503
    made = shop.app.test_cli_runner().invoke(args=["whop", "init-db"])
    assert made.exit_code == 0
    assert shop.deliver().status_code == 200
    shop.drop()


def test_two_apps_with_one_extension_and_one_store_keep_to_their_own_databases(tmp_path):
    db = SQLAlchemy()
    store = SessionStore(db, prefix="hooks_")
    apps = []
    for name in ("shop", "desk"):
        app = Flask(name, instance_path=str(tmp_path))
        app.config.update(SQLALCHEMY_DATABASE_URI=f"sqlite:///{name}.sqlite3", WHOP_WEBHOOK_SECRET=SECRET)
        db.init_app(app)
        WhopWebhooks(app, store=store)
        with app.app_context():
            db.create_all()
        apps.append(app)
    for app in apps:
        assert Sender(app).deliver("payment.succeeded", id=f"msg_{app.name}").status_code == 200
    for app in apps:
        with app.app_context():
            ids = db.session.scalars(sa.text("SELECT id FROM hooks_deliveries")).all()
            db.session.remove()
            db.engine.dispose()
        assert ids == [f"msg_{app.name}"]


@pytest.mark.parametrize("used", ["by the host alone", "by us as well"])
def test_connections_made_before_a_fork_are_not_used_after_it(host, tmp_path, used):
    shop = host()
    pids = tmp_path / "pids"

    @shop.whop.on("payment.succeeded", name="fulfil")
    def fulfil(app, event):
        pid = shop.db.session.scalar(sa.text("SELECT pg_backend_pid()"))
        with pids.open("a") as file:
            file.write(f"{pid}\n")

    with shop.app.app_context():
        before = {str(shop.db.session.scalar(sa.text("SELECT pg_backend_pid()")))}
    if used == "by us as well":
        shop.deliver("msg_0")
        before |= set(pids.read_text().split())
        pids.unlink()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if shop.deliver().status_code == 200 else 1
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert set(pids.read_text().split()).isdisjoint(before)
    assert shop.deliver("msg_2").status_code == 200


def test_the_text_of_an_error_that_the_database_has_no_characters_for_is_kept_in_ascii(tmp_path):
    name = f"latin_{uuid4().hex[:8]}"
    admin = sa.create_engine(psycopg(url_of("PostgreSQL")), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(
            sa.text(f"CREATE DATABASE {name} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
        )
    app = Flask("shop", instance_path=str(tmp_path))
    url = url_of("PostgreSQL").rpartition("/")[0] + f"/{name}"
    app.config.update(WHOP_WEBHOOK_SECRET=SECRET, WHOP_STORE=url)
    whop = WhopWebhooks(app)
    store = Installation.of(app).store
    ran = []

    @whop.on("payment.succeeded", name="odd → even")
    def odd(app, event):
        raise ValueError("→ no")

    whop.on("payment.*", name="neighbour")(lambda app, event: ran.append(event.id))
    try:
        assert Sender(app).deliver("payment.succeeded", {"id": "pay_→"}, id="msg_1").status_code == 500
        receipts = {one.receiver[:4]: one for one in store.receipts(Key("shop", "msg_1"))}
        assert "\\u2192 no" in receipts["odd "].error
        assert ran == ["msg_1"]
        assert store.get(Key("shop", "msg_1")).state is State.FAILED
        assert Sender(app).deliver("payment.succeeded", {"id": "pay_→"}, id="msg_1").status_code == 500
        assert ran == ["msg_1"]
    finally:
        store.close()
        with admin.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()
