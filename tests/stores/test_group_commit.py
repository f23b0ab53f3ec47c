"""Threads that wait to write to a SQLite file share a commit, and nothing else."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from flask_whop.errors import ClaimLost, StoreUnavailable
from flask_whop.stores import Filter, Key, Settlement, State
from flask_whop.stores import sqlite as sqlite_store
from flask_whop.stores.sqlite import SqliteStore
from tests.crash.driver import wait_until
from tests.stores.rows import LEASE, arrival, key, receipt

DONE = Settlement(State.DONE)


@pytest.fixture
def store(tmp_path):
    made = SqliteStore(tmp_path / "whop.sqlite3")
    made.open(owned=True, keep_bodies=True)
    yield made
    made.close()


def while_locked(store, calls):
    """Begin calls while another process writes; their outcomes, after it is done."""
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other, ThreadPoolExecutor(len(calls)) as pool:
        other.execute("BEGIN IMMEDIATE")
        futures = [pool.submit(call) for call in calls]
        wait_until(lambda: len(store._group._wishes) >= len(calls) - 1, "the threads to wait", str)
        other.execute("COMMIT")
        return [future.exception() or future.result() for future in futures]


def test_what_many_threads_write_at_once_takes_few_commits(store):
    commits = []
    connect = store._connect

    def traced():
        connection = connect()
        connection.set_trace_callback(lambda statement: commits.append(statement) if statement == "COMMIT" else None)
        return connection

    store._connect = traced
    store.close()
    granted = while_locked(store, [lambda n=n: store.claim(arrival(n), "mine", LEASE).granted for n in range(20)])
    assert granted == [True] * 20
    assert len(commits) <= 2, "the first one, and one for all that waited"
    assert len(store.find("shop", Filter(), 99)) == 20


def test_one_that_is_refused_takes_nothing_of_the_others_along(store):
    store.claim(arrival(1), "mine", LEASE)
    store.claim(arrival(2), "mine", LEASE)

    def record(number, token):
        return store.record(key(number), token, receipt(1.0), DONE)

    def fail():
        return store._transact(lambda connection: connection.rows("SELECT * FROM nothing", {}))

    outcomes = while_locked(
        store, [lambda: record(1, "mine"), lambda: record(2, "yours"), fail, lambda: record(2, "mine"), fail]
    )
    assert [type(one) for one in outcomes] == [type(None), ClaimLost, StoreUnavailable, type(None), StoreUnavailable]
    assert [store.get(key(number)).state for number in (1, 2)] == [State.DONE, State.DONE]


def test_nobody_waits_for_a_turn_without_end(store, monkeypatch):
    monkeypatch.setattr(store._group, "_patience", 0.1)
    with store._group._turn, pytest.raises(StoreUnavailable, match="other threads are writing"):
        store.claim(arrival(), "mine", LEASE)
    assert store.claim(arrival(), "mine", LEASE).granted


def test_a_fork_while_another_thread_has_its_turn_leaves_the_child_able_to_write(store):
    held, over = threading.Event(), threading.Event()

    def hold():
        with store._group._turn:
            held.set()
            over.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if store.claim(arrival(), "child", LEASE).granted else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    over.set()
    thread.join()
    assert not store.claim(arrival(), "parent", LEASE).granted


GREENLETS = """
import sys
from gevent import monkey
monkey.patch_all()
import gevent
from flask_whop.stores import Filter
from flask_whop.stores.sqlite import SqliteStore
from tests.stores.rows import LEASE, arrival
store = SqliteStore(sys.argv[1])
store.open(owned=True, keep_bodies=True)
jobs = [gevent.spawn(store.claim, arrival(number % 50), f"token {number}", LEASE) for number in range(200)]
gevent.joinall(jobs, raise_error=True)
print(sum(job.value.granted for job in jobs), len(store.find("shop", Filter(), 999)))
"""


def test_greenlets_that_write_at_once_each_get_what_is_theirs(tmp_path):
    pytest.importorskip("gevent")
    command = [sys.executable, "-c", GREENLETS, str(tmp_path / "whop.sqlite3")]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert told.stdout.split() == ["50", "50"], told.stderr


def test_processes_that_write_at_once_lose_nothing_to_each_other(tmp_path):
    code = (
        "import sys; from flask_whop.stores.sqlite import SqliteStore; from tests.stores.rows import LEASE, arrival\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "store = SqliteStore(sys.argv[1]); store.open(owned=False, keep_bodies=True)\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    claims = pool.map(lambda n: store.claim(arrival(n), sys.argv[2] + str(n), LEASE).granted, range(200))\n"
        "    print(sum(claims))\n"
    )
    file = tmp_path / "whop.sqlite3"
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(file), name], stdout=subprocess.PIPE, text=True)
        for name in ("first", "second", "third")
    ]
    assert sum(int(process.communicate(timeout=60)[0]) for process in started) == 200


def test_a_short_wait_for_another_process_has_short_pauses(store, monkeypatch):
    pauses = []
    monkeypatch.setattr(sqlite_store.time, "sleep", pauses.append)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr(sqlite_store, "BUSY_SECONDS", 0.02)
        with pytest.raises(StoreUnavailable, match="locked"):
            store.claim(arrival(key=Key("shop", "late")), "mine", LEASE)
    assert pauses
    assert max(pauses) <= 0.003
