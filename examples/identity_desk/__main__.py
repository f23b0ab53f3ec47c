"""Start the desk, deliver three events to it, and serve until stopped."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from threading import Event, Thread

from flask import Flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from examples.identity_desk import create_app, name_of
from flask_whop.events import AnyEvent, IdentityProfileNeedsAction, parse_event
from flask_whop.testing import signed


class QuietHandler(WSGIRequestHandler):
    """Keeps the terminal free for what arrives."""

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002  # Werkzeug's name for it
        """Log nothing."""


def profile(now: datetime, minutes_ago: int, profile_id: str, last_error_reason: str, **who: str) -> dict[str, object]:
    """Return an event in the shape of a webhook without a version pin: the whole profile."""
    verification = profile_id.removeprefix("idpf_")
    return {
        "id": f"msg_{secrets.token_hex(12)}",
        "api_version": "v1",
        "timestamp": (now - timedelta(minutes=minutes_ago)).isoformat(timespec="milliseconds"),
        "type": "identity_profile.needs_action",
        "company_id": "biz_Qw8zN3kLr2Vt5y",
        "data": {
            "id": profile_id,
            "status": "pending",
            **who,
            "verifications": [
                {
                    "id": f"verf_{verification}",
                    "status": "requires_input",
                    "session_url": f"https://verify.stripe.com/session/{verification}",
                    "last_error_reason": last_error_reason,
                    "created_at": (now - timedelta(minutes=minutes_ago + 5)).isoformat(timespec="milliseconds"),
                }
            ],
        },
    }


def unpinned(now: datetime) -> Iterator[dict[str, object]]:
    """Yield a person and a business."""
    yield profile(
        now,
        4,
        "idpf_7Kc2mPz9Xq4Ra",
        "The passport expired in March. Please use a document that is still valid.",
        profile_type="individual",
        first_name="Mara",
        last_name="Lindqvist",
        email="mara.lindqvist@example.com",
        country="SE",
    )
    yield profile(
        now,
        130,
        "idpf_2Vd9hWn5Bt1Ye",
        "The extract from the company register is older than three months.",
        profile_type="business",
        business_name="Kestrel Boatworks Ltd",
        email="office@kestrel.example",
        country="GB",
    )


def pinned(now: datetime) -> dict[str, object]:
    """Return an event in the shape of a webhook with a recent version pin: the id alone."""
    return {
        "id": f"msg_{secrets.token_hex(12)}",
        "api_version": "v1",
        "api_version_date": "2026-10-15-1",
        "timestamp": (now - timedelta(hours=26)).isoformat(timespec="milliseconds"),
        "type": "identity_profile.needs_action",
        "account_id": "biz_Qw8zN3kLr2Vt5y",
        "data": {"id": "idpf_4Tz6wLs8Gj3Ue"},
    }


def deliver(url: str, secret: str, payload: Mapping[str, object]) -> str:
    """Deliver ``payload`` over HTTP as Whop would, and return a line about the result."""
    signed_request = signed(payload, secret)
    request = urllib.request.Request(url, signed_request["data"], signed_request["headers"])  # noqa: S310  # an address of our own
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            code, body = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        code, body = error.code, error.read()
    return f"  {code} {json.loads(body)['status']:<10} {about(parse_event(signed_request['data']))}"


def about(event: AnyEvent) -> str:
    """Say who has to act, and why."""
    if not isinstance(event, IdentityProfileNeedsAction):
        return event.type
    who = name_of(event.data) or event.data.email or event.data.id
    reasons = [verification.last_error_reason for verification in event.data.verifications]
    return f"{event.type}  {who}: {reasons[0] if reasons else 'no reason given (pinned webhook)'}"


def start(app: Flask, host: str, port: int) -> BaseWSGIServer:
    """Serve ``app`` in its own thread.

    Raises :class:`OSError` if the address can't be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as taken:
        server = make_server(host, port, app, threaded=True, request_handler=QuietHandler, fd=taken.fileno())
    Thread(target=server.serve_forever, daemon=True).start()
    return server


def main() -> None:
    """Run the desk."""
    parser = argparse.ArgumentParser(prog="python -m examples.identity_desk", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="the address to serve on (default: %(default)s)")
    parser.add_argument("--trust", action="append", default=[], metavar="HOST", help="also answer to this host name")
    parser.add_argument("--port", type=int, default=5000, help="the port, 0 for any free one (default: %(default)s)")
    parser.add_argument("--database", type=Path, help="the SQLite file (default: in the instance folder)")
    options = parser.parse_args()
    stopped = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())

    secret = f"ws_{secrets.token_hex(32)}"
    app = create_app(secret, options.database, [options.host, *options.trust])
    try:
        server = start(app, options.host, options.port)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        parser.exit(1, f"{options.host} can't be served on port {options.port} ({reason}): try another --port.\n")
    address = f"http://{options.host}:{server.port}"

    print("Delivering three events to ourselves, signed as Whop signs them:\n", flush=True)
    now = datetime.now(timezone.utc)
    for payload in (*unpinned(now), pinned(now)):
        print(deliver(f"{address}/webhooks/whop", secret, payload), flush=True)
    print(f"\nThe desk is open at {address} (stop it with Ctrl+C).", flush=True)
    stopped.wait()
    server.shutdown()
    print("\nClosed.")


if __name__ == "__main__":
    main()
