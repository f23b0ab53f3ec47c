"""An app whose receiver writes a row to its own database, in the transaction of its receipt."""

from __future__ import annotations

import os

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event as sa_event

from flask_whop import WhopWebhooks
from flask_whop.stores.sqlalchemy import SessionStore

db = SQLAlchemy()


class Booking(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    event_id = db.Column(db.String, nullable=False)


def create_app() -> Flask:
    app = Flask(__name__, instance_path=os.environ["SHOP_INSTANCE"])
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{os.environ['SHOP_INSTANCE']}/books.sqlite3"
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"connect_args": {"timeout": 20}}
    db.init_app(app)
    with app.app_context():
        sa_event.listen(db.engine, "connect", lambda connection, _: connection.execute("PRAGMA journal_mode = WAL"))
        db.create_all()
    whop = WhopWebhooks(app, store=SessionStore(db, create=True))

    @whop.on("payment.succeeded")
    def book(app, event):
        db.session.add(Booking(event_id=event.id))

    return app
