"""What the store in a SQLite file adds to the contract: the file, its version, its faults."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from flask_whop import ConfigError
from flask_whop.errors import StoreUnavailable
from flask_whop.forks import process
from flask_whop.stores import Filter, sqlite
from flask_whop.stores.sqlite import SqliteStore
from tests.stores.rows import Clock, World, arrival, key


@pytest.fixture
def file(tmp_path):
    return tmp_path / "folder" / "whop.sqlite3"


def opened(file, *, owned=True, keep_bodies=True):
    store = SqliteStore(file)
    store.open(owned=owned, keep_bodies=keep_bodies)
    return World(store, Clock())


def pragma(store, name):
    return store._select(f"PRAGMA {name}", {})[0][0]


@pytest.mark.parametrize(("owned", "synchronous"), [(True, 2), (False, 1)])
def test_what_is_ours_is_on_the_disk_before_the_answer_and_what_is_whops_need_not_be(file, owned, synchronous):
    store = opened(file, owned=owned).store
    assert pragma(store, "journal_mode") == "wal"
    assert pragma(store, "synchronous") == synchronous


def test_a_file_outlasts_its_store(file):
    opened(file).done(1)
    assert opened(file).claim(1, token="yours").attempts == 2


def test_bodies_that_are_not_to_be_kept_are_dropped_when_done(file):
    world = opened(file, keep_bodies=False)
    world.claim(1)
    assert world.store.get(key(1)).body
    world.done(2)
    assert world.store.get(key(2)).body is None
    assert not world.store.replay(key(2))


LARGE = b'{"id": 1, "text": "' + b"x" * 100_000 + b'"}'


def large_bodies(store):
    return [row[0] for row in store._select("SELECT LENGTH(body) FROM whop_bodies", {})]


def test_a_large_body_is_given_back_whole_wherever_it_is_kept(file):
    world = opened(file)
    world.claim(1, body=LARGE)
    assert world.store.get(key(1)).body == LARGE
    assert large_bodies(world.store) == [len(LARGE)]
    world.store.accept(arrival(2, body=LARGE), 0)
    world.store.accept(arrival(3, body=LARGE), 0)
    assert [one.delivery.body for one in world.store.take_due("shop", "mine", 30.0, 1)] == [LARGE]
    assert world.store.take(key(3), "mine", 30.0).delivery.body == LARGE
    assert all(one.body is None for one in world.store.find("shop", Filter(), 9))


def test_a_large_body_goes_with_its_delivery(file):
    world = opened(file)
    world.done(1, body=LARGE)
    assert world.store.prune("shop", world.store.clock() + 9) == 1
    assert large_bodies(world.store) == []


def test_a_large_body_that_is_not_to_be_kept_is_dropped_when_done_and_does_not_come_back(file):
    world = opened(file, keep_bodies=False)
    world.done(1, body=LARGE)
    world.store.accept(arrival(1, body=LARGE), 0)
    assert (large_bodies(world.store), world.store.get(key(1)).body) == ([], None)
    assert not world.store.replay(key(1))


def test_a_body_that_grows_or_shrinks_on_its_way_is_the_one_that_came_last(file):
    world = opened(file)
    for body in (LARGE, b"{}", LARGE):
        world.done(1, body=body)
        assert world.store.get(key(1)).body == body


def test_a_folder_that_cannot_be_made_stops_the_app_and_names_the_setting(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"WHOP_STORE: .* can't be written"):
        opened(tmp_path / "file" / "whop.sqlite3")


def test_a_file_that_is_no_database_stops_the_app(file):
    file.parent.mkdir()
    file.write_bytes(b"not a database at all, but something else" * 99)
    with pytest.raises(ConfigError, match="not a database"):
        opened(file)


def as_nobody(call):
    """Run ``call`` in a child that may write nowhere, and return what it said; root may write everywhere."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            call()
            os.write(writer, b"no error")
        except BaseException as error:  # noqa: BLE001  # the child must not run the rest of the tests
            os.write(writer, f"{type(error).__name__}: {error}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as said:
        return said.read()


@pytest.mark.parametrize("made_before", [True, False])
def test_a_read_only_file_or_folder_stops_the_app_and_names_the_setting(file, made_before):
    if made_before:
        opened(file).store.close()
        file.chmod(0o444)
    else:
        file.parent.mkdir()
    for folder in [parent for parent in file.parents if "pytest" in str(parent)]:
        folder.chmod(0o555)
    said = as_nobody(lambda: opened(file))
    for folder in [parent for parent in file.parents if "pytest" in str(parent)]:
        folder.chmod(0o755)
    assert said.startswith("ConfigError: WHOP_STORE")
    assert "Make its folder writable" in said


def test_a_writer_that_holds_the_file_is_waited_for_and_then_told_of(file, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.3)
    world = opened(file)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            world.store.claim(arrival(), "mine", 30)
        other.execute("COMMIT")
    assert world.store.claim(arrival(), "mine", 30).granted


def test_connections_are_kept_and_no_more_of_them_than_are_used_at_once(file):
    world = opened(file)
    for number in range(50):
        world.done(number)
    assert len(world.store._idle) == 1
    world.store.close()
    assert world.claim(1).attempts == 2


def test_a_fork_does_not_touch_the_connections_of_its_parent(file):
    world = opened(file)
    world.done(1)
    child = os.fork()
    if child == 0:
        try:
            world.done(2)
            os._exit(0 if world.store._inherited and world.store._process is process.current else 3)
        except BaseException:  # noqa: BLE001  # the child must not run the rest of the tests
            os._exit(4)
    for number in range(10, 30):
        world.done(number)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert world.claim(2).attempts == 2
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_many_processes_that_start_at_once_make_the_file_once(file):
    code = (
        "import sys; from flask_whop.stores.sqlite import SqliteStore; sys.stdin.read()\n"
        f"SqliteStore({str(file)!r}).open(owned=False, keep_bodies=True)"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    for other in started:
        other.stdin.close()
    errors = [other.stderr.read() for other in started]
    for other in started:
        other.stderr.close()
        other.wait()
    assert errors == [""] * 8


def test_a_full_disk_is_told_and_recovered_from(file):
    world = opened(file)
    world.done(1)
    pages = pragma(world.store, "page_count")
    # Every connection has a limit of its own on the size of the file; the kept one is limited here.
    world.store._idle[-1].execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreUnavailable, match="full"):
        world.claim(2, body=b"x" * 1_000_000)
    assert world.claim(500).granted


def test_busy_is_answered_within_whops_five_seconds(file):
    assert sqlite.BUSY_SECONDS < 4.5
    started = time.monotonic()
    world = opened(file)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable):
            world.store.accept(arrival(), 0)
        other.execute("COMMIT")
    # Not how fast this machine is: how long the store is told to wait.
    assert time.monotonic() - started < 60


def test_a_writer_that_is_frozen_keeps_no_process_from_starting(tmp_path):
    """What stops a booting worker of gunicorn makes it stop the whole server."""
    path = tmp_path / "whop.sqlite3"
    SqliteStore(path).open(owned=False, keep_bodies=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as frozen:
        frozen.execute("BEGIN IMMEDIATE")
        store = SqliteStore(path)
        store.open(owned=False, keep_bodies=True)
        assert store.due("shop", 1) == []
        with pytest.raises(StoreUnavailable, match="locked"):
            store.claim(arrival(), "mine", 30)
        frozen.execute("COMMIT")
        assert store.claim(arrival(), "mine", 30).granted
        store.close()


def test_a_file_without_tables_that_a_writer_holds_is_refused(tmp_path):
    path = tmp_path / "whop.sqlite3"
    with closing(sqlite3.connect(path, isolation_level=None)) as frozen:
        frozen.execute("PRAGMA journal_mode = WAL")
        frozen.execute("BEGIN IMMEDIATE")
        with pytest.raises(ConfigError, match="locked"):
            SqliteStore(path).open(owned=False, keep_bodies=True)


def test_whoever_only_looks_does_not_wait_for_a_writer(file):
    """A health check that takes the write lock slows every delivery down."""
    store = opened(file).store
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert store.stats("shop").oldest_unfinished is None
        assert (store.due("shop", 9), store.find("shop", Filter(), 9), store.receivers("shop")) == ([], [], [])
        assert (store.get(key()), store.receipts(key())) == (None, [])
