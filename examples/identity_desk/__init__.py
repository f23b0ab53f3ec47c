"""The identity desk: who has to act on an identity verification, why, and the link to pass on to them.

Run it, and open the page at the address that it prints:

    python -m examples.identity_desk

It creates a secret for the run, delivers three events to itself over HTTP, signed as
Whop signs them, prints what arrived, and serves until stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    Verification,
)

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

# Otherwise any page open in a browser could read this one, through its own host name for
# the address 127.0.0.1.
LOCAL_HOSTS = ("localhost", "127.0.0.1")


def create_app(secret: str | None = None, database: Path | None = None, hosts: Sequence[str] = ()) -> Flask:
    """Make the app; without ``secret``, the secret comes from the environment.

    It answers to this machine's own names and to ``hosts``, such as the one in the webhook's address.
    """
    app = Flask(__name__, instance_path=str(Path(__file__).parent / "instance"))
    app.config["TRUSTED_HOSTS"] = [*LOCAL_HOSTS, *hosts]
    app.config["WHOP_WEBHOOK_SECRET"] = secret
    database = database or Path(app.instance_path) / "desk.sqlite3"
    app.config["WHOP_STORE"] = f"sqlite:///{database.with_name('whop.sqlite3').absolute()}"
    whop = WhopWebhooks(app)
    desk = Desk(database)
    connect_receivers(whop, desk)
    add_pages(app, desk)
    return app


def newest_of(verifications: object) -> Verification | None:
    """Return the verification that Whop lists first, whatever came instead of a list."""
    listed = verifications if isinstance(verifications, (list, tuple)) else ()
    return next((item for item in listed if isinstance(item, Verification)), None)


def connect_receivers(whop: WhopWebhooks, desk: Desk) -> None:
    """Put people on the desk when they have to act, and take them off once Whop decides.

    identity_profile.updated is ignored: Whop sends it for the same changes.
    """

    @whop.on(IdentityProfileNeedsAction)
    def open_row(app: Flask, event: IdentityProfileNeedsAction, **extra: object) -> None:
        profile = event.data
        if (profile_id := meaningful(profile.id)) is None:
            return  # nothing to tell people apart by
        newest = newest_of(profile.verifications)
        desk.open(
            Row(
                profile_id=profile_id,
                name=name_of(profile),
                email=meaningful(profile.email),
                reason=meaningful(newest.last_error_reason) if newest else None,
                session_url=meaningful(newest.session_url) if newest else None,
                happened_at=event.timestamp or datetime.now(timezone.utc),
            )
        )

    @whop.on(IdentityProfileApproved, IdentityProfileRejected)
    def close_row(app: Flask, event: IdentityProfileApproved | IdentityProfileRejected, **extra: object) -> None:
        if (profile_id := meaningful(event.data.id)) is not None:
            desk.close(profile_id, event.timestamp or datetime.now(timezone.utc))


def name_of(profile: IdentityProfile) -> str | None:
    """Return the name of a person or a business; None if Whop sends none, or a placeholder."""
    person = " ".join(filter(None, (meaningful(profile.first_name), meaningful(profile.last_name))))
    return person or meaningful(profile.business_name)


def meaningful(text: object) -> str | None:
    """Return the text if it says something: Whop's own samples have ``<string>`` instead of names."""
    if not isinstance(text, str) or not text.strip() or (text.startswith("<") and text.endswith(">")):
        return None
    # JSON can hold half a character (a lone surrogate), but no page or database can.
    return text.strip().encode("utf-8", "replace").decode()


def add_pages(app: Flask, desk: Desk) -> None:
    """Add the page, and the part of it that is fetched repeatedly."""

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
