"""The app that is killed and frozen: it does so itself at the steps that are doomed, and notes each effect.

A step is doomed by a file of its name in the folder ``CRASH_DOOM``, which says ``kill`` or
``freeze``; it befalls whichever process gets to take the file.
"""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa
from celery import Celery, Task
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event

from flask_whop import WhopWebhooks
from flask_whop.engine import celery as tasks
from flask_whop.engine.installation import Installation
from flask_whop.errors import ClaimLost
from flask_whop.signals import delivery_accepted, delivery_processed
from flask_whop.stores.sqlalchemy import SessionStore, SQLAlchemyStore
from flask_whop.stores.sqlite import SqliteStore

_FENCE = (ClaimLost,) if os.environ.get("CRASH_NO_FENCE") else ()  # what a late holder goes on from
_real_time = time.time
_phase = random.randrange(30)
STEPS = ("before claim", "after claim", "between receivers", "before receipt", "before answer")
COMMITTING = "before commit"
"""The step between the fence and the commit that a receiver shares with its receipt."""

LEASE = 1.5
PREFIX = os.environ.get("CRASH_PREFIX", "crash_")

db = SQLAlchemy()


class Effect(db.Model):
    """What a receiver did, in the transaction of its receipt."""

    __tablename__ = f"{PREFIX}effects"
    number = sa.Column(sa.Integer, primary_key=True)
    receiver = sa.Column(sa.String(20))
    event_id = sa.Column(sa.String(50))


def step(name: str) -> None:
    """Die or freeze here if this step is doomed."""
    file = Path(os.environ["CRASH_DOOM"]) / name
    taken = file.with_name(f"{os.getpid()} at {name}")
    try:
        file.rename(taken)
    except FileNotFoundError:
        return
    if taken.read_text() == "freeze":
        os.kill(os.getpid(), signal.SIGSTOP)  # until the driver lets it go on
        time.sleep(0.1)  # another thread may take the signal, and this one go on for a moment
        taken.unlink()
        return
    taken.unlink()
    os.kill(os.getpid(), signal.SIGKILL)


def doomed(kind: type) -> type:
    """A store that dies before or after what it does, where that is doomed."""

    class Doomed(kind):
        def claim(self, *arguments):
            step("before claim")
            claim = super().claim(*arguments)
            step("after claim")
            return claim

        def accept(self, *arguments):
            step("before claim")
            accepted = super().accept(*arguments)
            step("after claim")
            return accepted

        def take(self, *arguments, **how):
            taken = super().take(*arguments, **how)
            if taken:
                step("after claim")
            return taken

        def take_due(self, *arguments):
            taken = super().take_due(*arguments)
            if taken:
                step("after claim")
            return taken

        def record(self, *arguments):
            step("before receipt")
            super().record(*arguments)

        def _write(self, *arguments, **how):
            with suppress(*_FENCE):
                super()._write(*arguments, **how)

    return Doomed


def make_store():
    kind, _, url = os.environ["CRASH_STORE"].partition(" ")
    if kind == "sqlite":
        return doomed(SqliteStore)(url)
    if kind == "joined":
        return doomed(SessionStore)(db, prefix=PREFIX, create=True)
    return doomed(SQLAlchemyStore)(url, prefix=PREFIX)


def note(receiver: str, event_id: str) -> None:
    """Note an effect: in the joined transaction, or by one line at the end of a file."""
    if os.environ["CRASH_STORE"].startswith("joined"):
        db.session.add(Effect(receiver=receiver, event_id=event_id))
        if random.random() < 0.5:  # with the rows locked, and without
            db.session.flush()
        if random.random() < 0.02:
            time.sleep(2 * LEASE)  # with a connection of a small pool
        return
    descriptor = os.open(os.environ["CRASH_EFFECTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{receiver} {event_id}\n".encode())
    os.close(descriptor)


def wrong_time() -> float:
    """The time of a machine whose clock is wrong by ten minutes, and is set now and then."""
    return _real_time() + (-600, 0, 600)[int(time.monotonic() + _phase) // 10 % 3]


def engine_options() -> dict[str, object]:
    """A pool that is too small, and no waiting for what a frozen process has locked."""
    url = os.environ["CRASH_STORE"]
    if "sqlite" in url:
        return {"connect_args": {"timeout": 2}}
    limit = (
        {"options": "-c lock_timeout=2s"} if "postgresql" in url else {"init_command": "SET innodb_lock_wait_timeout=2"}
    )
    return {"pool_size": 2, "max_overflow": 0, "pool_timeout": 2, "connect_args": limit}


def create_app() -> Flask:
    if os.environ.get("CRASH_CLOCKS"):
        time.time = wrong_time
    app = Flask("shop", instance_path=os.environ["CRASH_DOOM"])
    app.config.update(
        SQLALCHEMY_DATABASE_URI=os.environ["CRASH_STORE"].partition(" ")[2],
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(),
        WHOP_WEBHOOK_TOLERANCE=3600,  # the clocks are wrong
        WHOP_DISPATCH=os.environ["CRASH_DISPATCH"],
        WHOP_RETRY_FIRST=0.5,
    )
    if os.environ["CRASH_STORE"].startswith("joined"):
        db.init_app(app)
        event.listen(db.session, "before_commit", lambda session: step(COMMITTING))
    whop = WhopWebhooks(app, store=make_store())
    Installation.of(app).engine.leases.lease = LEASE
    if os.environ["CRASH_DISPATCH"] == "celery":
        make_celery(app)
        tasks.TASK_SECONDS = 1.0  # not half a minute, as in life

    @whop.on("payment.succeeded", name="first")
    def first(app, event):
        note("first", event.id)

    @whop.on("payment.succeeded", name="second")
    def second(app, event):
        step("between receivers")
        note("second", event.id)

    for signal_ in (delivery_processed, delivery_accepted):
        signal_.connect_via(app)(lambda app, delivery, event: step("before answer"))
    # The app holds what is tied to it by its connection alone.
    return app


def make_celery(app: Flask) -> Celery:
    """Set Celery up as Flask's documentation shows it, with a beat that sweeps once a second."""

    class FlaskTask(Task):
        def __call__(self, *arguments, **named):
            with app.app_context():
                return self.run(*arguments, **named)

    celery = Celery(app.name, task_cls=FlaskTask, broker=os.environ["CRASH_BROKER"])
    celery.conf.update(
        beat_schedule={"sweep": {"task": "flask_whop.sweep", "schedule": 1.0}},
        beat_schedule_filename=str(Path(os.environ["CRASH_DOOM"]).parent / "beat"),
        task_default_queue=os.environ["CRASH_QUEUE"],
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
    )
    celery.set_default()
    app.extensions["celery"] = celery
    return celery
