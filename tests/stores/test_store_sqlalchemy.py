"""What the stores by SQLAlchemy add to the contract: tables, drivers, and the host's own transaction."""

from __future__ import annotations

import subprocess
import sys
import traceback
from types import SimpleNamespace
from uuid import uuid4

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import scoped_session, sessionmaker

from flask_whop import ConfigError, WhopWebhooks
from flask_whop.engine.installation import Installation
from flask_whop.engine.worker import Worker
from flask_whop.errors import MissingExtraError
from flask_whop.stores import Key, ReceiptState, store_for
from flask_whop.stores.sqlalchemy import SessionStore, SQLAlchemyStore, make_engine
from tests.services import url_of
from tests.shop import SECRET, Sender, new_app


@pytest.fixture
def file(tmp_path):
    return f"sqlite:///{tmp_path / 'host.sqlite3'}"


def prefix():
    return f"t{uuid4().hex[:12]}_"


# Tables and drivers.


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgresql://u@h/d", "postgresql+psycopg"),
        ("postgres://u@h/d", "postgresql+psycopg"),
        ("mysql://u@h/d", "mysql+pymysql"),
        ("mariadb://u@h/d", "mariadb+pymysql"),
        ("sqlite:///x", "sqlite"),
    ],
)
def test_a_url_means_the_driver_that_its_extra_installs(url, driver):
    assert make_engine(url).url.drivername == driver


def test_a_driver_that_is_not_installed_is_named_with_its_extra():
    with pytest.raises(MissingExtraError, match=r'pip install "flask-whop\[postgresql\]"'):
        make_engine("postgresql+psycopg2://u@h/d")


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("postgresql://shop:hunter2@h:port/d", "isn't the URL of a known database"),
        ("hunter2", "isn't the URL of a known database"),
        ("oracle+none://shop:hunter2@h/d", "isn't the URL of a known database"),
        ("postgresql://shop:me@hunter2@h/d", "write %40"),
        ("postgresql+asyncpg://shop:hunter2@h/d", "is for asyncio.*Write postgresql://"),
        ("mysql+aiomysql://shop:hunter2@h/d", "is for asyncio.*Write mysql://"),
        ("mysql://shop:hunter2@127.0.0.1/d?connect_timeout=soon", "WHOP_STORE"),
        ("mysql://shop:hunter2@127.0.0.1/d?unheard_of=hunter2", "WHOP_STORE"),
        ("postgresql://shop:hunter2@127.0.0.1/d?unheard_of=1", "WHOP_STORE"),
    ],
)
def test_a_url_that_is_no_good_is_a_config_error_and_shows_no_password(url, advice):
    with pytest.raises(ConfigError, match=advice) as raised:
        SQLAlchemyStore(url).open(owned=True, keep_bodies=True)
    assert "hunter2" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    ("name", "query", "asked", "expected"),
    [
        ("PostgreSQL", "options=-c%20lock_timeout%3D7s", "SHOW lock_timeout", "7s"),
        ("PostgreSQL", "options=-c%20work_mem%3D2MB", "SHOW work_mem", "2MB"),
        ("PostgreSQL", "options=-c%20work_mem%3D2MB", "SHOW lock_timeout", "3s"),
        ("PostgreSQL", "connect_timeout=9", "SHOW lock_timeout", "3s"),
        ("MariaDB", "connect_timeout=9", "SELECT @@innodb_lock_wait_timeout", 3),
    ],
)
def test_what_a_url_asks_for_wins_over_our_own_and_locks_stay_bounded(name, query, asked, expected):
    engine = make_engine(f"{url_of(name)}?{query}")
    with engine.connect() as connection:
        assert connection.scalar(sa.text(asked)) == expected
    engine.dispose()


def test_without_sqlalchemy_the_extra_is_named():
    code = (
        "import sys; sys.modules['sqlalchemy'] = None\n"
        "from flask_whop.stores import store_for\n"
        "store_for('postgresql://h/d', '.')"
    )
    tried = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 'pip install "flask-whop[sqlalchemy]"' in tried.stderr


def test_neither_sqlalchemy_nor_celery_is_imported_until_it_is_asked_for():
    code = "import sys, flask_whop.signals; sys.exit(bool({'sqlalchemy', 'celery', 'sqlite3'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_url_gives_a_store_of_its_database(file):
    assert isinstance(store_for(url_of("PostgreSQL"), "."), SQLAlchemyStore)


def test_tables_have_the_prefix_and_stand_in_the_hosts_metadata_for_alembic(file):
    metadata = sa.MetaData()
    store = SQLAlchemyStore(file, prefix="hook_", metadata=metadata, create=False)
    assert store.metadata is metadata
    tables = ("deliveries", "marks", "notes", "receipts", "schema", "tallies")
    assert set(metadata.tables) == {f"hook_{table}" for table in tables}
    SQLAlchemyStore(file, prefix="hook_", metadata=metadata)


@pytest.mark.parametrize("bad", ["x; DROP TABLE", "a" * 31, "a-b"])
def test_a_prefix_that_is_none_is_refused(file, bad):
    with pytest.raises(ConfigError, match="prefix"):
        SQLAlchemyStore(file, prefix=bad)


def test_init_db_makes_the_tables_where_the_app_does_not(file, tmp_path):
    app = new_app(tmp_path)
    WhopWebhooks(app, store=SQLAlchemyStore(file, create=False))
    assert Sender(app).deliver("payment.succeeded").status_code == 503
    made = app.test_cli_runner().invoke(args=["whop", "init-db"])
    assert made.exception is None
    assert (made.exit_code, made.output) == (0, "The tables are ready.\n")
    assert Sender(app).deliver("payment.succeeded").status_code == 200


def test_tables_of_a_newer_release_are_refused(file):
    store = SQLAlchemyStore(file)
    store.open(owned=True, keep_bodies=True)
    with store._engine.begin() as connection:
        connection.execute(sa.text("UPDATE whop_schema SET version = 99, oldest = 99"))
    with pytest.raises(ConfigError, match="version 99, which a newer release"):
        SQLAlchemyStore(file).open(owned=True, keep_bodies=True)


def test_several_processes_that_start_at_once_make_the_tables_once(tmp_path):
    named = prefix()
    url = url_of("PostgreSQL")
    code = (
        "from flask_whop.stores.sqlalchemy import SQLAlchemyStore\n"
        f"SQLAlchemyStore({url!r}, prefix={named!r}).open(owned=True, keep_bodies=True)"
    )
    started = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) for _ in range(6)]
    errors = [process.communicate()[1] for process in started]
    store = SQLAlchemyStore(url, prefix=named)
    store.metadata.drop_all(store._engine)
    store._engine.dispose()
    assert [process.returncode for process in started] == [0] * 6, errors


# The host's own transaction.


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def host(request, tmp_path):
    """An app whose receivers write through db.session, in the same database as the receipts."""
    app = Flask("shop", instance_path=str(tmp_path))
    url = "sqlite:///host.sqlite3" if request.param == "SQLite" else url_of("PostgreSQL")
    app.config.update(
        SQLALCHEMY_DATABASE_URI=url.replace("postgresql://", "postgresql+psycopg://"), WHOP_WEBHOOK_SECRET=SECRET
    )
    db = SQLAlchemy(app)
    named = prefix()

    class Order(db.Model):
        __tablename__ = f"{named}orders"
        id = sa.Column(sa.Integer, primary_key=True)
        payment = sa.Column(sa.String(50), unique=True)

    store = SessionStore(db, prefix=named)
    whop = WhopWebhooks(app, store=store)
    with app.app_context():
        db.create_all()

    def orders():
        with app.app_context():
            return [order.payment for order in db.session.scalars(sa.select(Order).order_by(Order.id))]

    def receipt(receiver, delivery_id="msg_1"):
        with app.app_context():
            found = store.receipts(Key("shop", delivery_id))
            return {one.receiver: one.state for one in found}.get(receiver)

    yield SimpleNamespace(
        app=app, db=db, whop=whop, Order=Order, store=store, orders=orders, receipt=receipt, prefix=named
    )
    with app.app_context():
        db.session.remove()
        db.drop_all()
        db.engine.dispose()


def test_a_receipt_is_committed_with_the_writes_of_its_receiver(host):
    @host.whop.on("payment.succeeded", name="fulfil")
    def fulfil(app, event):
        host.db.session.add(host.Order(payment=event.data.id))

    for _ in range(2):
        assert Sender(host.app).deliver("payment.succeeded", {"id": "pay_1"}, id="msg_1").status_code == 200
    assert host.orders() == ["pay_1"]
    assert host.receipt("fulfil") is ReceiptState.DONE


def test_what_a_failing_receiver_wrote_is_rolled_back(host):
    @host.whop.on("payment.succeeded", name="fulfil")
    def fulfil(app, event):
        host.db.session.add(host.Order(payment=event.data.id))
        host.db.session.flush()
        raise ValueError("no")

    assert Sender(host.app).deliver("payment.succeeded", {"id": "pay_1"}, id="msg_1").status_code == 500
    assert host.orders() == []
    assert host.receipt("fulfil") is ReceiptState.FAILED


def test_writes_that_cannot_be_committed_are_a_failure_of_their_receiver_alone(host):
    @host.whop.on("payment.succeeded", name="books")
    def books(app, event):
        host.db.session.add(host.Order(payment=f"book of {event.data.id}"))

    @host.whop.on("payment.succeeded", name="fulfil")
    def fulfil(app, event):
        host.db.session.add(host.Order(payment="taken"))

    with host.app.app_context():
        host.db.session.add(host.Order(payment="taken"))
        host.db.session.commit()
    assert Sender(host.app).deliver("payment.succeeded", {"id": "pay_1"}, id="msg_1").json["status"] == "failed"
    assert host.orders() == ["taken", "book of pay_1"]
    assert (host.receipt("books"), host.receipt("fulfil")) == (ReceiptState.DONE, ReceiptState.FAILED)


def test_a_crash_between_the_writes_and_the_receipt_leaves_neither(host):
    class Killed(BaseException):
        pass

    @host.whop.on("payment.succeeded", name="fulfil")
    def fulfil(app, event):
        host.db.session.add(host.Order(payment=event.data.id))

    def die(session):
        raise Killed

    with host.app.app_context():
        sa.event.listen(host.db.session.session_factory, "before_commit", die)
    with pytest.raises(Killed):
        Sender(host.app).deliver("payment.succeeded", {"id": "pay_1"}, id="msg_1")
    assert (host.orders(), host.receipt("fulfil")) == ([], None)
    sa.event.remove(host.db.session.session_factory, "before_commit", die)
    assert Sender(host.app).deliver("payment.succeeded", {"id": "pay_1"}, id="msg_1").status_code == 200
    assert host.orders() == ["pay_1"]


def test_a_worker_joins_the_transaction_as_well(host, tmp_path):
    host.app.config["WHOP_DISPATCH"] = "worker"
    app = Flask("shop", instance_path=str(tmp_path))
    app.config.update(host.app.config)
    host.db.init_app(app)
    store = SessionStore(host.db, prefix=host.prefix)
    whop = WhopWebhooks(app, store=store)

    @whop.on("payment.succeeded", name="fulfil")
    def fulfil(app, event):
        host.db.session.add(host.Order(payment=event.data.id))

    for number in range(10):
        answer = Sender(app).deliver("payment.succeeded", {"id": f"pay_{number}"}, id=f"msg_{number}")
        assert answer.json["status"] == "accepted"
    with app.app_context():
        Worker(app).run(once=True)
        assert Installation.of(app).engine.store.stats("shop").done_lately == 10
        host.db.engine.dispose()
    assert sorted(host.orders()) == sorted(f"pay_{number}" for number in range(10))


def test_a_scoped_session_without_an_extension_will_do(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'plain.sqlite3'}")
    session = scoped_session(sessionmaker(engine))
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE orders (payment TEXT)"))
    app = new_app(tmp_path)
    whop = WhopWebhooks(app, store=SessionStore(session))

    @whop.on("payment.succeeded")
    def fulfil(app, event):
        session.execute(sa.text("INSERT INTO orders VALUES (:payment)"), {"payment": event.data.id})

    for _ in range(2):
        Sender(app).deliver("payment.succeeded", {"id": "pay_1"}, id="msg_1")
    assert session.execute(sa.text("SELECT payment FROM orders")).fetchall() == [("pay_1",)]
    session.remove()
    engine.dispose()


def test_a_database_in_memory_will_do_for_the_tests_of_an_app():
    app = Flask("shop")
    app.config.update(SQLALCHEMY_DATABASE_URI="sqlite:///:memory:", WHOP_WEBHOOK_SECRET=SECRET, TESTING=True)
    db = SQLAlchemy(app)

    class Order(db.Model):
        id = sa.Column(sa.Integer, primary_key=True)
        payment = sa.Column(sa.String(50))

    whop = WhopWebhooks(app, store=SessionStore(db.session))
    errors = [ValueError("no")]

    @whop.on("payment.succeeded")
    def fulfil(app, event):
        db.session.add(Order(payment=event.data.id))
        db.session.flush()
        if errors:
            raise errors.pop()

    with app.app_context():
        db.create_all()
    statuses = [Sender(app).deliver("payment.succeeded", {"id": "pay_1"}, id="msg_1").json["status"] for _ in range(3)]
    assert statuses == ["failed", "processed", "duplicate"]
    with app.app_context():
        assert list(db.session.scalars(sa.select(Order.payment))) == ["pay_1"]
        db.session.remove()
        db.engine.dispose()
