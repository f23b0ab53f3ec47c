"""PostgreSQL behind PgBouncer, which gives each transaction another connection: nothing is left on them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from flask_whop import WhopWebhooks
from flask_whop.engine.worker import Worker
from flask_whop.errors import ConfigError
from flask_whop.stores import Key
from flask_whop.stores.sqlalchemy import SQLAlchemyStore
from flask_whop.stores.waking import ListeningWaker
from tests.crash.driver import wait_until
from tests.services import free_port, listens, url_of
from tests.shop import Sender, new_app
from tests.stores import new_prefix

INI = """
[databases]
test = host=127.0.0.1 port=5432 dbname=test user=postgres

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
{more}
"""


@pytest.fixture
def bouncer():
    """Start a PgBouncer; its URL."""
    url_of("PostgreSQL")
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.fail("pgbouncer is not installed; on Debian: apt-get install pgbouncer")
    folder = Path(tempfile.mkdtemp())  # one of pytest's own is for its user alone
    started = []

    def start(more=""):
        port = free_port()
        file = folder / f"{port}.ini"
        file.write_text(INI.format(port=port, more=more))
        for one in (file, folder):
            one.chmod(0o755)  # it does not run as root, and reads this as somebody else
        command = [program, *(["-u", "postgres"] if os.getuid() == 0 else []), str(file)]
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

        wait_until(lambda: listens(port), "PgBouncer", str)
        return f"postgresql://postgres@127.0.0.1:{port}/test"

    yield start
    for process in started:
        process.terminate()
        process.wait()
    shutil.rmtree(folder)


@pytest.mark.parametrize("more", ["", "ignore_startup_parameters = options"], ids=["refused", "ignored"])
def test_without_its_word_in_the_url_it_is_named_with_the_setting_that_helps(bouncer, more):
    with pytest.raises(ConfigError, match=r"PgBouncer.*Add \?pgbouncer=true to the URL"):
        SQLAlchemyStore(bouncer(more), prefix=new_prefix()).open(owned=False, keep_bodies=True)


@pytest.mark.parametrize("dispatch", ["inline", "worker"])
def test_deliveries_are_done_once_and_nothing_is_left_on_its_connections(bouncer, tmp_path, dispatch):
    url = bouncer()
    app = new_app(tmp_path, WHOP_DISPATCH=dispatch)
    store = SQLAlchemyStore(f"{url}?pgbouncer=true", prefix=new_prefix())
    whop = WhopWebhooks(app, store=store)
    ran, failing = [], {"msg_7"}

    @whop.on("payment.succeeded", name="mail", skip_stale=True)
    def mail(app, event):
        if event.id in failing:
            failing.clear()
            raise ValueError("no mail today")
        ran.append(event.id)

    names = [f"msg_{number}" for number in range(40)]

    def deliver(name):
        return Sender(app).deliver("payment.succeeded", {"id": f"pay_{name}"}, id=name).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(deliver, names)) <= {200, 500}
    if dispatch == "worker":
        Worker(app).run(once=True)
    assert store.replay(Key("shop", "msg_7"))
    Worker(app).run(once=True)
    assert sorted(ran) == sorted(names)
    assert store.stats("shop").done_lately == len(names)
    with ThreadPoolExecutor(4) as pool:
        left = set(pool.map(lambda _: left_on_a_connection(url), range(8)))
    assert left == {("0", 0)}
    store.metadata.drop_all(store._engine)
    store.close()


def left_on_a_connection(url):
    with psycopg.connect(url, prepare_threshold=None) as connection:
        [limit] = connection.execute("SHOW lock_timeout").fetchone()
        [prepared] = connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()
        connection.execute("SELECT pg_sleep(0.05)")
    return limit, prepared


def test_a_lock_that_somebody_holds_is_not_waited_for_without_end(bouncer):
    url = bouncer()
    store = SQLAlchemyStore(f"{url}?pgbouncer=true", prefix=new_prefix())
    store.open(owned=True, keep_bodies=True)
    with store._database().single() as connection:
        assert connection.rows("SHOW lock_timeout", {})[0][0] == "3s"
    store.metadata.drop_all(store._engine)
    store.close()


def test_a_worker_behind_a_pooler_that_swallows_notifications_says_so_and_looks_by_itself(bouncer, caplog):
    url = bouncer()
    waker = ListeningWaker(lambda: psycopg.connect(url, autocommit=True, prepare_threshold=None), "whop_test")
    assert "don't reach this worker" in caplog.text
    assert waker.wait(0.01) is False
    waker.close()
