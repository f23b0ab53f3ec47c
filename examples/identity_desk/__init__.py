"""The identity desk: who has to act on an identity verification, why, and where to go on.

Run it, and look at the page that it names:

    python -m examples.identity_desk

It starts with a secret made for the run, delivers three events to itself over HTTP,
signed as Whop signs them, prints what arrived, and goes on serving until stopped.
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


# Without these, any page that a browser has open could read this one, by a name of its own
# for the address 127.0.0.1.
LOCAL_HOSTS = ("localhost", "127.0.0.1")


def create_app(secret: str | None = None, database: Path | None = None, hosts: Sequence[str] = ()) -> Flask:
    """Make the app; ``secret`` comes from the environment where it is left out.

    It answers for this machine's own names and for ``hosts``: that of the address that Whop has.
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
    """The verification that Whop lists first, whatever came in place of the list."""
    listed = verifications if isinstance(verifications, (list, tuple)) else ()
    return next((one for one in listed if isinstance(one, Verification)), None)


def connect_receivers(whop: WhopWebhooks, desk: Desk) -> None:
    """Put people on the desk when they have to act, and take them off when it is decided.

    identity_profile.updated is left alone: Whop sends it for these same changes.
    """

    @whop.on(IdentityProfileNeedsAction)
    def open_row(app: Flask, event: IdentityProfileNeedsAction, **extra: object) -> None:
        profile = event.data
        if (profile_id := told(profile.id)) is None:
            return  # nobody can be told from others by it
        newest = newest_of(profile.verifications)
        desk.open(
            Row(
                profile_id=profile_id,
                name=name_of(profile),
                reason=told(newest.last_error_reason) if newest else None,
                session_url=told(newest.session_url) if newest else None,
                happened_at=event.timestamp or datetime.now(timezone.utc),
            )
        )

    @whop.on(IdentityProfileApproved, IdentityProfileRejected)
    def close_row(app: Flask, event: IdentityProfileApproved | IdentityProfileRejected, **extra: object) -> None:
        if (profile_id := told(event.data.id)) is not None:
            desk.close(profile_id, event.timestamp or datetime.now(timezone.utc))


def name_of(profile: IdentityProfile) -> str | None:
    """The name to call a person or a business by; None where Whop sends none, or a placeholder."""
    person = " ".join(filter(None, (told(profile.first_name), told(profile.last_name))))
    return person or told(profile.business_name) or told(profile.email)


def told(text: object) -> str | None:
    """The text, if it is one and says something: Whop's own samples have ``<string>`` in the place of names."""
    if not isinstance(text, str) or not text.strip() or (text.startswith("<") and text.endswith(">")):
        return None
    # Half a character, which JSON can hold, is for no page and no database.
    return text.strip().encode("utf-8", "replace").decode()


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
