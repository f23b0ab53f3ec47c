"""Nothing is lost and nothing is done twice, whatever dies, stops, fills up or comes at once."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from flask_whop import WhopWebhooks
from flask_whop.engine.installation import Installation
from flask_whop.engine.worker import Worker
from flask_whop.stores import State
from flask_whop.stores.sqlalchemy import SQLAlchemyStore
from flask_whop.testing import sample, signed
from tests import ROOT
from tests.crash.driver import SCENARIOS, Arena, wait_until
from tests.services import free_port, listens, only_in_the_gate, url_of
from tests.shop import PATH, SECRET, Sender, new_app


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_nothing_is_lost_and_nothing_done_twice_by_processes_that_are_killed_and_frozen(scenario):
    if scenario is not SCENARIOS[0]:
        only_in_the_gate("one scenario of crashes is enough here")
    for service in scenario.services:
        url_of(service)
    report = Arena(scenario, faults_wanted=5).run()
    assert report.faults() == []
    assert report.steps.total() >= 5
    assert report.delivered > 0


# Races.

RACE = """
import os
from flask import Flask
from flask_whop import WhopWebhooks
from flask_whop.engine.installation import Installation

def create_app():
    app = Flask("shop", instance_path=os.environ["RACE_FOLDER"])
    app.config.from_prefixed_env("RACE")
    whop = WhopWebhooks(app)
    for name in ("mail", "books"):
        @whop.on("payment.succeeded", name=name)
        def receiver(app, event, name=name):
            descriptor = os.open(os.environ["RACE_EFFECTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(descriptor, f"{name} {event.id}\\n".encode())
            os.close(descriptor)
    return app
"""


@pytest.mark.parametrize("store", ["SQLite", "PostgreSQL"])
def test_400_deliveries_that_come_8_times_at_once_are_each_done_once_by_8_processes(tmp_path, store):
    only_in_the_gate("keeps eight processes busy for a while")
    (tmp_path / "race.py").write_text(RACE)
    effects = tmp_path / "effects"
    endpoint = f"race-{uuid4().hex[:8]}"
    url = "sqlite:///race.sqlite3" if store == "SQLite" else url_of("PostgreSQL")
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--workers=8", f"--bind=127.0.0.1:{port}", "race:create_app()"],
        cwd=tmp_path,
        env=os.environ
        | {
            "WHOP_WEBHOOK_SECRET": SECRET,
            "RACE_FOLDER": str(tmp_path),
            "RACE_EFFECTS": str(effects),
            "RACE_WHOP_STORE": url,
            "RACE_WHOP_ENDPOINT": endpoint,
            "PYTHONPATH": str(ROOT),
        },
        stderr=(log := (tmp_path / "log").open("wb")),
    )
    barriers = [threading.Barrier(8) for _ in range(400)]

    def deliver_all(_):
        statuses = Counter()
        for number, barrier in enumerate(barriers):
            request = signed(sample("payment.succeeded") | {"id": f"msg_{number}"}, SECRET)
            barrier.wait(60)
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("POST", PATH, request["data"], request["headers"])
            statuses[connection.getresponse().status] += 1
            connection.close()
        return statuses

    try:
        wait_until(lambda: listens(port), "the server", (tmp_path / "log").read_text)
        with ThreadPoolExecutor(8) as pool:
            answers = sum(pool.map(deliver_all, range(8)), Counter())
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)
        log.close()
        if store == "PostgreSQL":
            kept = SQLAlchemyStore(url)
            kept.open(owned=False, keep_bodies=True)
            kept.prune(endpoint, time.time() + 9)
            kept.close()

    assert set(answers) <= {200, 409}, (tmp_path / "log").read_text()[-5000:]
    assert answers[200] >= 400
    expected = {f"{name} msg_{number}": 1 for name in ("mail", "books") for number in range(400)}
    assert Counter(effects.read_text().splitlines()) == expected


# Faults.


def shop(tmp_path, **config):
    app = new_app(tmp_path, **config)
    whop = WhopWebhooks(app)
    ran = []
    whop.on("payment.succeeded", name="mail")(lambda app, event: ran.append(event.id))
    return app, whop, ran


def test_a_disk_that_is_full_is_answered_503_and_recovers_without_a_hand(tmp_path):
    """A real file system, of two megabytes, where this process may mount one; a limit on the file where not."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here: " + mounted.stderr.decode().strip())
    try:
        app, _, ran = shop(folder, WHOP_DISPATCH="worker")
        sender = Sender(app)
        filler = folder / "filler"
        assert sender.deliver("payment.succeeded", id="msg_before").status_code == 200
        with pytest.raises(OSError, match="No space"):
            filler.write_bytes(b"x" * 4_000_000)
        full = [sender.deliver("payment.succeeded", {"id": "x" * 9000}, id=f"msg_{n}") for n in range(20)]
        refused = [answer for answer in full if answer.status_code != 200]
        assert {answer.status_code for answer in refused} == {503}
        assert refused[-1].headers["Retry-After"]
        filler.unlink()
        assert [sender.deliver("payment.succeeded", id=f"msg_{n}").status_code for n in range(20)] == [200] * 20
        with app.app_context():
            Worker(app).run(once=True)
        assert sorted(ran) == sorted(["msg_before", *(f"msg_{n}" for n in range(20))])
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def test_a_database_that_stops_and_starts_again_loses_nothing(tmp_path):
    """A PostgreSQL of its own, stopped and started as an operator would."""
    binaries = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"))), None)
    if binaries is None or os.geteuid() != 0 or not shutil.which("runuser"):
        pytest.skip("needs PostgreSQL's own programs, and root to run them as postgres")
    home = Path("/tmp") / f"pg{uuid4().hex[:8]}"
    port = free_port()

    def postgres(*command):
        subprocess.run(
            ["runuser", "-u", "postgres", "--", *map(str, command)], check=True, capture_output=True, cwd="/"
        )

    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
    start = (binaries / "pg_ctl", "-D", home, "-o", options, "-w", "-l", f"{home}.log", "start")
    stop = (binaries / "pg_ctl", "-D", home, "-m", "immediate", "stop")
    postgres(binaries / "initdb", "-D", home, "-A", "trust", "-N")
    try:
        postgres(*start)
        app, _, ran = shop(
            tmp_path, WHOP_STORE=f"postgresql://postgres@127.0.0.1:{port}/postgres", WHOP_DISPATCH="worker"
        )
        sender = Sender(app)
        assert sender.deliver("payment.succeeded", id="msg_before").status_code == 200
        postgres(*stop)
        during = sender.deliver("payment.succeeded", id="msg_during")
        assert (during.status_code, during.json["status"]) == (503, "unavailable")
        postgres(*start)
        for delivery_id in ("msg_during", "msg_after"):
            assert sender.deliver("payment.succeeded", id=delivery_id).status_code == 200
        with app.app_context():
            Worker(app).run(once=True)
        assert sorted(ran) == ["msg_after", "msg_before", "msg_during"]
        Installation.of(app).store.close()
    finally:
        subprocess.run(["runuser", "-u", "postgres", "--", *map(str, stop)], check=False, capture_output=True, cwd="/")
        shutil.rmtree(home, ignore_errors=True)
        Path(f"{home}.log").unlink(missing_ok=True)


def test_a_worker_waits_for_a_store_that_is_away(tmp_path, caplog):
    app, _, ran = shop(tmp_path, WHOP_DISPATCH="worker")
    Sender(app).deliver("payment.succeeded", id="msg_1")
    file = tmp_path / "whop.sqlite3"
    away = tmp_path / "away"
    worker = Worker(app)
    worker._engine.store.close()
    for part in tmp_path.glob("whop.sqlite3*"):
        part.rename(away.with_suffix(part.suffix))
    file.mkdir()
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        wait_until(lambda: "trying again in a second" in caplog.text, "the worker to notice", lambda: caplog.text)
        file.rmdir()
        for part in tmp_path.glob("away*"):
            part.rename(file.with_suffix(part.suffix))
        wait_until(lambda: ran, "the worker to go on", lambda: caplog.text)
    finally:
        worker.stop()
        thread.join()
    assert ran == ["msg_1"]


def test_a_broker_that_is_down_leaves_the_delivery_due_for_the_worker(tmp_path, caplog):
    from celery import Celery

    app, whop, ran = shop(tmp_path, WHOP_DISPATCH="celery")
    app.extensions["celery"] = Celery("shop", broker="redis://127.0.0.1:1/0")
    app.extensions["celery"].conf.broker_transport_options = {"max_retries": 0}
    assert Sender(app).deliver("payment.succeeded", id="msg_1").json["status"] == "accepted"
    assert "which stays due in the store" in caplog.text
    assert ran == []
    with app.app_context():
        assert whop.stats().counts[State.DUE] == 1
        store = Worker(app)._engine.store
        now = store.clock()
        store.clock = lambda: now + 31
        Worker(app).run(once=True)
    assert ran == ["msg_1"]


def test_celery_without_its_app_says_how_to_set_it_up(tmp_path, caplog):
    app, _, _ = shop(tmp_path, WHOP_DISPATCH="celery")
    assert Sender(app).deliver("payment.succeeded", id="msg_1").status_code == 200
    assert 'app.extensions["celery"]' in caplog.text
