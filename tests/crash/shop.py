"""The app that is killed: it kills itself at the steps that are doomed, and notes each effect.

A step is doomed by a file of its name in the folder ``CRASH_DOOM``; whichever process
gets to remove it dies there.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import sqlalchemy as sa
from celery import Celery, Task
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_whop import WhopWebhooks, dispatch
from flask_whop.installation import Installation
from flask_whop.signals import delivery_accepted, delivery_processed
from flask_whop.stores.sqlalchemy import SessionStore, SQLAlchemyStore
from flask_whop.stores.sqlite import SqliteStore

STEPS = ("before claim", "after claim", "between receivers", "before receipt", "before answer")

db = SQLAlchemy()


class Effect(db.Model):
    """What a receiver did, in the transaction of its receipt."""

    __tablename__ = "crash_effects"
    number = sa.Column(sa.Integer, primary_key=True)
    receiver = sa.Column(sa.String(20))
    event_id = sa.Column(sa.String(50))


def step(name: str) -> None:
    """Die here if this step is doomed."""
    try:
        (Path(os.environ["CRASH_DOOM"]) / name).unlink()
    except FileNotFoundError:
        return
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

        def record(self, *arguments):
            step("before receipt")
            super().record(*arguments)

    return Doomed


def make_store():
    kind, _, url = os.environ["CRASH_STORE"].partition(" ")
    if kind == "sqlite":
        return doomed(SqliteStore)(url)
    if kind == "joined":
        return doomed(SessionStore)(db, prefix="crash_", create=True)
    return doomed(SQLAlchemyStore)(url, prefix="crash_")


def note(receiver: str, event_id: str) -> None:
    """Note an effect: in the joined transaction, or by one line at the end of a file."""
    if os.environ["CRASH_STORE"].startswith("joined"):
        db.session.add(Effect(receiver=receiver, event_id=event_id))
        return
    descriptor = os.open(os.environ["CRASH_EFFECTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{receiver} {event_id}\n".encode())
    os.close(descriptor)


def create_app() -> Flask:
    app = Flask("shop", instance_path=os.environ["CRASH_DOOM"])
    app.config.update(
        SQLALCHEMY_DATABASE_URI=os.environ["CRASH_STORE"].partition(" ")[2].replace("gresql:", "gresql+psycopg:"),
        WHOP_DISPATCH=os.environ["CRASH_DISPATCH"],
        WHOP_RETRY_FIRST=0.5,
    )
    if not os.environ["CRASH_STORE"].startswith("sqlite"):
        db.init_app(app)
    # What takes half a minute in life is not to take it here.
    dispatch.GRACE_SECONDS = 1.0
    whop = WhopWebhooks(app, store=make_store())
    Installation.of(app).engine.leases.lease = 1.5
    if os.environ["CRASH_DISPATCH"] == "celery":
        make_celery(app)

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
