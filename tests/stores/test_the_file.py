"""The file of a SQLite store: for its owner alone, and missed when it is gone."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing

import pytest
import sqlalchemy as sa

from examples.identity_desk import create_app
from flask_whop import WhopWebhooks
from flask_whop.stores import Filter
from flask_whop.stores.sqlalchemy import SQLAlchemyStore
from flask_whop.stores.sqlite import SqliteStore
from tests.services import url_of
from tests.shop import SECRET, Sender, new_app
from tests.stores import new_prefix, opened


@pytest.fixture(autouse=True)
def _open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder):
    return {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in (folder, *folder.iterdir())}


def test_the_files_of_the_store_and_of_the_example_are_for_their_owner_alone(tmp_path):
    folder = tmp_path / "instance"
    app = create_app(SECRET, folder / "desk.sqlite3")
    assert Sender(app).deliver("identity_profile.needs_action").status_code == 200
    assert modes(folder) == {
        "instance": "0o700",
        "desk.sqlite3": "0o600",
        "whop.sqlite3": "0o600",
        "whop.sqlite3-wal": "0o600",
        "whop.sqlite3-shm": "0o600",
    }


def test_a_file_that_sqlalchemy_opens_for_us_is_for_its_owner_alone(tmp_path):
    store = SQLAlchemyStore(f"sqlite:///{tmp_path / 'whop.sqlite3'}")
    store.open(owned=True, keep_bodies=True)
    assert modes(tmp_path)["whop.sqlite3"] == "0o600"
    store.close()


@pytest.mark.parametrize("what", ["deleted", "replaced by an empty one", "replaced by an older one"])
@pytest.mark.parametrize("name", ["SQLite", "SessionStore on SQLite"])
def test_what_would_be_kept_nowhere_is_not_answered_200(name, what, tmp_path):
    app = new_app(tmp_path)
    with opened(name, app) as store:
        WhopWebhooks(app, store=store)
        sender = Sender(app)
        assert sender.deliver("payment.succeeded").status_code == 200
        file = tmp_path / ("whop.sqlite3" if name == "SQLite" else "host.sqlite3")
        older = tmp_path / "older"
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("VACUUM INTO ?", [str(older)])
        for path in list(tmp_path.glob(f"{file.name}*")):
            path.unlink()
        if what == "replaced by an empty one":
            file.touch()
        elif what == "replaced by an older one":
            shutil.move(older, file)
        assert sender.deliver("payment.succeeded").status_code == 503
        if what != "replaced by an older one":
            assert sender.deliver("payment.succeeded").status_code == 503
            with app.app_context():
                if name == "SQLite":
                    store.open(owned=False, keep_bodies=True)
                else:
                    store.create_tables()
        assert sender.deliver("payment.succeeded", id="msg_last").status_code == 200
        with app.app_context():
            assert [one.key.id for one in store.find("shop", Filter(), 1)] == ["msg_last"]


KILLED = """
import os, signal, sys
import sqlalchemy as sa
from flask_whop.stores import sqlite
from flask_whop.stores.sqlalchemy import SQLAlchemyStore

url, prefix, left = sys.argv[1], sys.argv[2], int(sys.argv[3])

def count(statement):
    global left
    left -= "CREATE" in statement
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

if url.startswith("/"):
    connection = sqlite._FileConnection
    change = connection.change
    connection.change = lambda self, statement, values: (count(statement), change(self, statement, values))[1]
    store = sqlite.SqliteStore(url)
else:
    sa.event.listen(sa.Engine, "before_cursor_execute", lambda c, cursor, statement, *rest: count(statement))
    store = SQLAlchemyStore(url, prefix=prefix)
store.open(owned=False, keep_bodies=True)
"""


@pytest.mark.parametrize("name", ["SQLite", "PostgreSQL", "MariaDB"])
def test_a_process_that_is_killed_while_it_makes_the_tables_leaves_them_to_the_next(name, tmp_path):
    url = str(tmp_path / "whop.sqlite3") if name == "SQLite" else url_of(name)
    for left in range(99):
        prefix = "whop_" if name == "SQLite" else new_prefix()
        if name == "SQLite":
            (tmp_path / "whop.sqlite3").unlink(missing_ok=True)
        ended = subprocess.run([sys.executable, "-c", KILLED, url, prefix, str(left)], check=False).returncode
        assert ended in (0, -signal.SIGKILL)
        store = SqliteStore(url) if name == "SQLite" else SQLAlchemyStore(url, prefix=prefix)
        store.open(owned=False, keep_bodies=True)
        engine = sa.create_engine(f"sqlite:///{url}") if name == "SQLite" else store._engine
        inspected = sa.inspect(engine)
        tables = [f"{prefix}{table}" for table in ("deliveries", "receipts", "marks", "schema")]
        indexes = [len(inspected.get_indexes(table)) for table in tables]
        if name != "SQLite":
            store.metadata.drop_all(engine)
        store.close()
        engine.dispose()
        small = 0 if name == "MariaDB" else 1  # where each row would be in it, it isn't made
        assert indexes == [5, small, 1, 0], f"killed before statement {left}"
        if ended == 0:
            break
    assert left > 3
