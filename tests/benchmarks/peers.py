"""What receiving a webhook costs with other libraries, each against a bare Flask view.

    python tests/benchmarks/peers.py [deliveries [peer …]]

Each peer is installed into an environment of its own in a temporary folder, since some of
them ask for a Flask of another time, and is measured there against a bare view of the same
Flask, in turns of a hundred. One that cannot be installed is left out, with a line that
says so. All get a body of the same size, signed as the peer's service signs, and look at
two fields of it; which of them know types and remember ids stands in the table.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
TURN = 100
PAYLOAD = json.loads((ROOT / "tests/documented.json").read_bytes())
TEXT_SECRET = "5b1c9fe07d2a4836" * 2
STANDARD_SECRET = base64.b64encode(TEXT_SECRET.encode()).decode()

Signed = tuple[bytes, dict[str, str]]


class Peer(NamedTuple):
    """A library, and what it takes."""

    name: str
    requirements: tuple[str, ...]
    typed: str
    remembers: str


PEERS = {
    "slack": Peer("slackeventsapi", ("slackeventsapi",), "no", "no"),
    "svix": Peer("svix", ("svix", "flask"), "no", "no"),
    "stripe": Peer("stripe", ("stripe", "flask"), "as a dictionary with attributes", "no"),
    "whop_sdk": Peer("whop-sdk by hand", ("whop-sdk", "flask"), "no", "no"),
    "flask_whop": Peer("flask-whop, memory, inline", (str(ROOT),), "yes", "yes"),
}


def look(data: Any) -> None:
    """Look at two fields, as each receiver does."""
    assert data["email"]
    assert data["verifications"][0]["last_error_reason"]


def hexed(secret: str, content: str) -> str:
    """A signature as hexadecimal digits."""
    return hmac.new(secret.encode(), content.encode(), hashlib.sha256).hexdigest()


def standard(secret: bytes, number: int) -> Signed:
    """A request that is signed as Standard Webhooks has it."""
    body, now = json.dumps(PAYLOAD), int(time.time())
    digest = hmac.new(secret, f"msg_{number}.{now}.{body}".encode(), hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return body.encode(), {
        "webhook-id": f"msg_{number}",
        "webhook-timestamp": str(now),
        "webhook-signature": signature,
    }


def with_view(receive: Callable[[], Any]) -> Any:
    """An app with one view."""
    from flask import Flask

    app = Flask("peer")
    app.post("/hook")(receive)
    return app


def bare() -> tuple[Any, Callable[[int], Signed]]:
    """A view that reads the body and answers."""
    from flask import jsonify, request

    def receive() -> Any:
        request.get_data()
        return jsonify(status="ok")

    return with_view(receive), lambda number: standard(TEXT_SECRET.encode(), number)


def slack() -> tuple[Any, Callable[[int], Signed]]:
    """Slack's Events API adapter."""
    from slackeventsapi import SlackEventAdapter

    adapter = SlackEventAdapter(TEXT_SECRET, endpoint="/hook")
    adapter.on("needs_action", lambda payload: look(payload["event"]["data"]))

    def signed(number: int) -> Signed:
        now = int(time.time())
        body = json.dumps({"event": {"type": "needs_action", **PAYLOAD | {"type": "needs_action"}}})
        signature = "v0=" + hexed(TEXT_SECRET, f"v0:{now}:{body}")
        return body.encode(), {"x-slack-request-timestamp": str(now), "x-slack-signature": signature}

    return adapter.server, signed


def svix() -> tuple[Any, Callable[[int], Signed]]:
    """A view on Svix's helper."""
    from flask import jsonify, request
    from svix.webhooks import Webhook, WebhookVerificationError

    def receive() -> Any:
        try:
            Webhook(f"whsec_{STANDARD_SECRET}").verify(body := request.get_data(), dict(request.headers))
        except WebhookVerificationError:
            return jsonify(status="rejected"), 400
        look(json.loads(body)["data"])
        return jsonify(status="ok")

    return with_view(receive), lambda number: standard(TEXT_SECRET.encode(), number)


def stripe() -> tuple[Any, Callable[[int], Signed]]:
    """A view on Stripe's helper."""
    import stripe as library
    from flask import jsonify, request

    secret = f"whsec_{TEXT_SECRET}"

    def receive() -> Any:
        try:
            event = library.Webhook.construct_event(request.get_data(), request.headers["stripe-signature"], secret)
        except (ValueError, library.SignatureVerificationError):
            return jsonify(status="rejected"), 400
        look(event["data"]["object"])
        return jsonify(status="ok")

    def signed(number: int) -> Signed:
        now = int(time.time())
        body = json.dumps(PAYLOAD | {"id": f"evt_{number}", "object": "event", "data": {"object": PAYLOAD["data"]}})
        return body.encode(), {"stripe-signature": f"t={now},v1={hexed(secret, f'{now}.{body}')}"}

    return with_view(receive), signed


def whop_sdk() -> tuple[Any, Callable[[int], Signed]]:
    """A view on whop-sdk's helper."""
    from flask import jsonify, request
    from whop_sdk.lib.verify_webhook import WebhookVerificationError, unwrap

    def receive() -> Any:
        try:
            event = unwrap(request.get_data(), headers=request.headers, key=TEXT_SECRET)
        except WebhookVerificationError:
            return jsonify(status="rejected"), 401
        look(event["data"])
        return jsonify(status="ok")

    return with_view(receive), lambda number: standard(TEXT_SECRET.encode(), number)


def flask_whop() -> tuple[Any, Callable[[int], Signed]]:
    """This library."""
    from flask import Flask

    from flask_whop import WhopWebhooks

    app = Flask("peer")
    app.config.update(WHOP_WEBHOOK_SECRET=TEXT_SECRET, WHOP_STORE="memory://", WHOP_WEBHOOK_PATH="/hook")
    whop = WhopWebhooks(app)

    @whop.on("identity_profile.needs_action")
    def receiver(app: Flask, event: Any, **extra: object) -> None:
        assert event.data.email
        assert event.data.verifications[0].last_error_reason

    app.extensions["receiver"] = receiver
    return app, lambda number: standard(TEXT_SECRET.encode(), number)


def answers(app: Any, signed: Callable[[int], Signed]) -> Iterator[float]:
    """Deliver again and again; the seconds that each took."""
    from werkzeug.test import create_environ

    numbers = count()
    while True:
        requests = [signed(next(numbers)) for _ in range(TURN)]
        for body, headers in requests:
            environ = create_environ(
                "/hook", method="POST", data=body, headers=dict(headers), content_type="application/json"
            )
            statuses: list[str] = []
            started = time.perf_counter()
            answer = app(environ, lambda status, headers, exc_info=None: statuses.append(status))  # noqa: B023
            b"".join(answer)
            answer.close()
            yield time.perf_counter() - started
            assert statuses == ["200 OK"], statuses


def child(peer: str, deliveries: int) -> None:
    """Measure in the peer's own environment, and print the medians."""
    runs = {"bare": answers(*bare()), peer: answers(*globals()[peer]())}
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(max(1, deliveries // TURN) + 1):
        for name, run in runs.items():
            measured = [next(run) for _ in range(TURN)]
            if turn:  # the first one warms up
                taken[name] += measured
    print(json.dumps([median(seconds) for seconds in taken.values()]))


def installed(peer: str, folder: Path) -> tuple[str, str]:
    """Make a peer's environment; its Python and what is wrong with it, one of them empty."""
    python = folder / peer / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *PEERS[peer].requirements]
    for command in ([sys.executable, "-m", "venv", str(folder / peer)], install):
        try:
            subprocess.run(command, capture_output=True, check=True, timeout=300)
        except subprocess.SubprocessError:
            return "", "it could not be installed"
    return str(python), ""


def version_of(peer: str, python: str) -> str:
    """The version of a peer and of its Flask."""
    package = Path(PEERS[peer].requirements[0]).name if peer != "flask_whop" else "flask-whop"
    code = f"from importlib.metadata import version as v; print(v({package!r}) + ', Flask ' + v('flask'))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=False).stdout.strip()


def main(deliveries: int, peers: list[str]) -> None:
    """Install and measure them, and print a line for each."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="whop-peers-") as name:
        with ThreadPoolExecutor(2) as pool:
            environments = dict(zip(peers, pool.map(lambda peer: installed(peer, Path(name)), peers), strict=True))
        for peer, (python, fault) in environments.items():
            done = None
            if not fault:
                command = [python, str(Path(__file__).resolve()), "--child", peer, str(deliveries)]
                done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=name)
            if done is None or done.returncode:
                last = done.stderr.strip().splitlines()[-1] if done and done.stderr else "it could not be run"
                print(f"{PEERS[peer].name} is left out: {fault or last}.\n")
                continue
            base, taken = json.loads(done.stdout.strip().splitlines()[-1])
            known = PEERS[peer]
            times = (f"{base * 1e6:.0f} µs", f"{taken * 1e6:.0f} µs", f"{taken / base:.2f}")
            rows.append((known.name, version_of(peer, python), *times, known.typed, known.remembers))
    headings = ("", "version", "bare view", "with it", "x of a bare view", "typed", "once per id")
    for line in (headings, ("---",) * len(headings), *rows):
        print(f"| {' | '.join(line)} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], int(sys.argv[3]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 3000, sys.argv[2:] or list(PEERS))
