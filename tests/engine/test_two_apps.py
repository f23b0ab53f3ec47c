"""Two apps, one PostgreSQL, one Redis and one queue, redeployed in turn while Whop delivers to both."""

from __future__ import annotations

import http.client
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from uuid import uuid4

import pytest
from redis import Redis

from flask_whop.stores.sqlalchemy import SQLAlchemyStore
from flask_whop.testing import sample, signed
from tests import ROOT
from tests.crash.driver import children, kill_tree, wait_until
from tests.services import free_port, listens, url_of
from tests.shop import OTHER_SECRET, PATH, SECRET
from tests.stores import new_prefix

APP = """
import logging
import os
from celery import Celery, Task
from flask import Flask
from flask_whop import WhopWebhooks
from flask_whop.engine import celery as tasks
from flask_whop.stores.sqlalchemy import SQLAlchemyStore

logging.getLogger("flask_whop").addHandler(logging.FileHandler("flask_whop.log"))
tasks.TASK_SECONDS = 1.0
app = Flask("app")
app.config.from_prefixed_env("TWO")
store = SQLAlchemyStore(os.environ["TWO_DATABASE"], prefix=os.environ["TWO_PREFIX"], create=False)
whop = WhopWebhooks(app, store=store)

class FlaskTask(Task):
    def __call__(self, *arguments, **named):
        with app.app_context():
            return self.run(*arguments, **named)

celery = Celery("app", task_cls=FlaskTask, broker=os.environ["TWO_BROKER"])
celery.conf.update(
    task_default_queue=os.environ["TWO_QUEUE"],
    beat_schedule={"sweep": {"task": "flask_whop.sweep", "schedule": 1.0}},
    beat_schedule_filename=f"beat-{app.config['WHOP_ENDPOINT']}",
    worker_hijack_root_logger=False,
)
celery.set_default()
app.extensions["celery"] = celery

@whop.on("payment.succeeded", name="effect")
def effect(app, event):
    descriptor = os.open("effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{app.config['WHOP_ENDPOINT']} {event.id}\\n".encode())
    os.close(descriptor)
"""


class Deployment:
    """One of the apps: a server, a worker of Celery's, and its beat."""

    def __init__(self, folder, name, secret, environment):
        self.folder, self.name, self.secret = folder, name, secret
        self.port = free_port()
        self.environment = environment | {"TWO_WHOP_ENDPOINT": name, "WHOP_WEBHOOK_SECRET": secret}
        self.delivered = []
        self.processes = {}

    def start(self):
        celery = ("celery", "-A", "two_app:celery")
        self._start("server", "gunicorn", "--workers=2", f"--bind=127.0.0.1:{self.port}", "two_app:app")
        self._start("worker", *celery, "worker", "-c", "1", "--without-gossip", "--without-mingle", "-n", self.name)
        self._start("beat", *celery, "beat", f"--pidfile=beat-{self.name}.pid")
        wait_until(self._listens, f"the server of {self.name}", self.log)

    def _start(self, what, *command):
        with (self.folder / f"{self.name}-{what}.log").open("ab") as log:
            self.processes[what] = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _listens(self):
        return listens(self.port) and bool(children(self.processes["server"].pid))

    def log(self):
        return "\n".join(file.read_text(errors="replace")[-3000:] for file in self.folder.glob(f"{self.name}*.log"))

    def redeploy(self):
        """Stop each process as a deploy does, and start it again."""
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            process.wait(60)
        self.start()

    def stop(self):
        for process in self.processes.values():
            kill_tree(process)

    def deliver(self):
        """Deliver one payment, and again until it is taken."""
        name = f"msg_{uuid4().hex}"
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                request = signed(sample("payment.succeeded") | {"id": name}, self.secret)
                connection.request("POST", PATH, request["data"], request["headers"])
                if connection.getresponse().status == 200:
                    break
            except (OSError, http.client.HTTPException):
                time.sleep(0.2)
            finally:
                connection.close()
        self.delivered.append(f"{self.name} {name}")


@pytest.fixture
def apps(tmp_path):
    database, broker, queue = url_of("PostgreSQL"), url_of("Redis"), f"two-{uuid4().hex}"
    (tmp_path / "two_app.py").write_text(APP)
    prefix = new_prefix()
    store = SQLAlchemyStore(database, prefix=prefix)
    store.open(owned=True, keep_bodies=True)
    environment = os.environ | {
        "TWO_DATABASE": database,
        "TWO_PREFIX": prefix,
        "TWO_BROKER": broker,
        "TWO_QUEUE": queue,
        "TWO_WHOP_DISPATCH": "celery",
        "PYTHONPATH": str(ROOT),
    }
    secrets = {"desk": SECRET, "shop": OTHER_SECRET}
    made = [Deployment(tmp_path, name, secret, environment) for name, secret in secrets.items()]
    try:
        for one in made:
            one.start()
        yield made
    finally:
        for one in made:
            one.stop()
        Redis.from_url(broker).delete(queue)
        store.metadata.drop_all(store._engine)
        store.close()


def test_nothing_is_lost_or_read_by_the_other_though_they_share_a_queue_and_are_redeployed(apps, tmp_path):
    stopping = threading.Event()
    desk = apps[0]
    desk.processes["worker"].send_signal(signal.SIGTERM)
    desk.processes["worker"].wait(60)
    desk.deliver()  # whose task comes to the other one's worker, since there is no other
    log = tmp_path / "flask_whop.log"
    wait_until(lambda: "Give each its own with WHOP_CELERY_QUEUE" in log.read_text(), "a task that strays", desk.log)

    def send(one):
        while not stopping.is_set():
            one.deliver()
            time.sleep(random.uniform(0.05, 0.2))

    senders = [threading.Thread(target=send, args=(one,)) for one in apps]
    for sender in senders:
        sender.start()
    for one in (*apps, *apps):
        time.sleep(1)
        one.redeploy()
    stopping.set()
    for sender in senders:
        sender.join()
    expected = {name for one in apps for name in one.delivered}

    def effects():
        return Counter((tmp_path / "effects").read_text().splitlines())

    wait_until(lambda: expected <= effects().keys(), "all effects", lambda: apps[0].log() + apps[1].log())
    assert effects() == Counter(expected)
