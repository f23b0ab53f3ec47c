"""The identity desk: who has to act on an identity verification, why, and where to go on.

Run it, and look at the page that it names:

    python -m examples.identity_desk

It starts with a secret made for the run, delivers three events to itself over HTTP,
signed as Whop signs them, prints what arrived, and goes on serving until stopped.
"""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from flask import Flask, Response, make_response, render_template, request

from examples.identity_desk.desk import Desk, Row
from flask_whop import WhopWebhooks
from flask_whop.events import (
    IdentityProfile,
    IdentityProfileApproved,
    IdentityProfileNeedsAction,
    IdentityProfileRejected,
)

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def create_app(secret: str | None = None, database: Path | None = None) -> Flask:
    """Make the app; ``secret`` comes from the environment where it is left out."""
    app = Flask(__name__, instance_path=str(Path(__file__).parent / "instance"))
    app.config["WHOP_WEBHOOK_SECRET"] = secret
    database = database or Path(app.instance_path) / "desk.sqlite3"
    app.config["WHOP_STORE"] = f"sqlite:///{database.with_name('whop.sqlite3').absolute()}"
    whop = WhopWebhooks(app)
    desk = Desk(database)
    connect_receivers(whop, desk)
    add_pages(app, desk)
    return app


def connect_receivers(whop: WhopWebhooks, desk: Desk) -> None:
    """Put people on the desk when they have to act, and take them off when it is decided.

    identity_profile.updated is left alone: Whop sends it for these same changes.
    """

    @whop.on(IdentityProfileNeedsAction)
    def open_row(app: Flask, event: IdentityProfileNeedsAction, **extra: object) -> None:
        profile = event.data
        newest = profile.verifications[0] if profile.verifications else None
        desk.open(
            Row(
                profile_id=profile.id,
                name=name_of(profile),
                reason=newest.last_error_reason if newest else None,
                session_url=newest.session_url if newest else None,
                happened_at=event.timestamp or datetime.now(timezone.utc),
            )
        )

    @whop.on(IdentityProfileApproved, IdentityProfileRejected)
    def close_row(app: Flask, event: IdentityProfileApproved | IdentityProfileRejected, **extra: object) -> None:
        desk.close(event.data.id, event.timestamp or datetime.now(timezone.utc))


def name_of(profile: IdentityProfile) -> str | None:
    """The name to call a person or a business by; None where Whop sends none, or a placeholder."""
    person = " ".join(filter(None, (told(profile.first_name), told(profile.last_name))))
    return person or told(profile.business_name) or told(profile.email)


def told(text: object) -> str | None:
    """The text, if it says something: Whop's own samples have ``<string>`` in the place of names."""
    if not isinstance(text, str) or not text.strip() or (text.startswith("<") and text.endswith(">")):
        return None
    return text.strip()


def add_pages(app: Flask, desk: Desk) -> None:
    """Add the page, and the part of it that is fetched again and again."""

    @app.get("/")
    def page() -> str:
        return render_template("page.html", rows=desk.rows())

    @app.get("/rows")
    def rows() -> Response:
        answer = make_response(render_template("rows.html", rows=desk.rows()))
        answer.add_etag()
        answer.headers["Cache-Control"] = "no-cache"
        answer.make_conditional(request)
        return answer

    @app.after_request
    def protect(answer: Response) -> Response:
        answer.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        answer.headers["Referrer-Policy"] = "no-referrer"
        return answer
