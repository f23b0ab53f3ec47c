"""A shop for courses: who has access, and what was earned, kept up to date by Whop's webhooks.

README.md beside this file says how to run it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from flask import Flask
from flask_migrate import Migrate

from examples.course_shop import access, ledger, mail, staff
from examples.course_shop.models import db
from examples.course_shop.webhooks import whop
from flask_whop.inbox import WhopInbox

HERE = Path(__file__).parent

# Imported for what they connect to Whop's events.
RECEIVERS = (access, ledger, mail)

migrate = Migrate(directory=str(HERE / "migrations"))


def create_app(config: Mapping[str, object] | None = None) -> Flask:
    """Make the app; its settings come from ``FLASK_…`` variables of the environment, and then from ``config``."""
    app = Flask(__name__, instance_path=str(HERE / "instance"))
    app.config.from_mapping(
        SQLALCHEMY_DATABASE_URI="sqlite:///shop.sqlite3",  # in the instance folder
        WHOP_DISPATCH="worker",  # Whop is answered at once, and `flask whop work` does the rest
        SESSION_COOKIE_SAMESITE="Lax",
        STAFF_PASSWORD_HASH="",  # of werkzeug.security.generate_password_hash; without one, nobody can log in
        MAIL_SERVER="",  # without one, mail goes to the folder OUTBOX
        OUTBOX=HERE / "instance" / "outbox",
        MAIL_FROM="hello@shop.example",
    )
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    db.init_app(app)
    migrate.init_app(app, db)
    whop.init_app(app)
    app.register_blueprint(staff.pages)
    WhopInbox(app, authorize=staff.may_look)  # at /whop
    return app
