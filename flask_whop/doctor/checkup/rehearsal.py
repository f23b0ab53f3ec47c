"""Sends signed requests through an app's own WSGI stack, runs no receiver, and leaves nothing behind.

It is made for a process of its own, as ``flask whop doctor`` is: while it goes on, the
engine of the app works with a store that keeps nothing, and the hooks of the app are
watched.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import Context
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from flask import Flask, got_request_exception
from flask.testing import EnvironBuilder
from werkzeug.sansio.utils import host_is_trusted
from werkzeug.test import run_wsgi_app

from flask_whop import signals
from flask_whop.doctor.checkup.hooks import Hook, watched
from flask_whop.doctor.watch import Refused, watching
from flask_whop.engine.installation import Installation, mount_of
from flask_whop.signals.app_signal import AppSignal
from flask_whop.signature import sign
from flask_whop.stores import Accepted, Arrival, Claim, Hold, MemoryStore, State

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

EVENT_TYPE = "flask_whop.checkup.rehearsal"


class Answer(NamedTuple):
    """What came of one request."""

    status: int
    location: str | None
    """Where a redirect leads."""
    reached: bool
    """Whether it was verified, and taken for a delivery."""
    refused: Refused | None
    """What arrived, if our route rejected it."""
    hooks: tuple[Hook, ...]
    error: str | None
    """The type of what the app raised, if it let that through to the server."""
    seconds: float


class Rehearsal:
    """Requests to one app, as Whop would send them."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.body: bytes = json.dumps(
            {
                "id": f"msg_rehearsal{uuid4().hex}",
                "api_version": "v1",
                "timestamp": "2026-11-02T10:00:00.000Z",
                "type": EVENT_TYPE,
                # What a parser that writes JSON again would write in another way.
                "data": {"id": "obj_1", "name": "Zoë & Mara", "total": 10},
            },
            separators=(",", ":"),
            ensure_ascii=False,
        ).encode()
        self._installation = Installation.of(app)

    @property
    def has_middleware(self) -> bool:
        """Whether something is wrapped around the app's own WSGI application."""
        return getattr(self.app.wsgi_app, "__self__", None) is not self.app

    def genuine(self, *, scheme: str = "https", past_middleware: bool = False) -> Answer:
        """Send what Whop would send."""
        return self._send(self._installation.settings.secrets[0], scheme, past_middleware=past_middleware)

    def failing(self) -> Answer:
        """Send what is to be answered 409: a delivery that is running, which Whop is to send again."""
        return self._send(self._installation.settings.secrets[0], "https", running=True)

    def forged(self) -> Answer:
        """Send what is signed with another secret."""
        return self._send(f"ws_{uuid4().hex}{uuid4().hex}", "https")

    def _send(self, secret: str, scheme: str, *, running: bool = False, past_middleware: bool = False) -> Answer:
        environ = self._environ(secret, scheme, past_middleware=past_middleware)
        # In a context of its own, as a server would: without the app context of a command.
        return Context().run(self._perform, environ, running=running, past_middleware=past_middleware)

    def _environ(self, secret: str, scheme: str, *, past_middleware: bool) -> WSGIEnvironment:
        settings = self._installation.settings
        # A server puts the whole path into PATH_INFO, and a mount of the app's own takes its part from there.
        mount = mount_of(self.app)
        path = settings.path if past_middleware else f"{mount}{settings.path}"
        root = mount if past_middleware else "" if mount else self.app.config["APPLICATION_ROOT"]
        headers = sign(
            self.body,
            secret,
            delivery_id=json.loads(self.body)["id"],
            timestamp=int(self._installation.verifier.clock()),
        )
        builder = EnvironBuilder(
            self.app,
            path,
            base_url=f"{scheme}://{host_of(self._installation)}{root or '/'}",
            method="POST",
            data=self.body,
            headers={"content-type": "application/json", "x-forwarded-proto": scheme, **headers},
        )
        try:
            return builder.get_environ()
        finally:
            builder.close()

    def _perform(self, environ: WSGIEnvironment, *, running: bool, past_middleware: bool) -> Answer:
        stage = _Stage(running=running)
        hooks: list[Hook] = []
        error, status, location = None, 500, None
        started = time.perf_counter()
        with self._silenced(stage), watched(self.app, hooks), watching() as refused:
            try:
                wsgi_app = type(self.app).wsgi_app.__get__(self.app) if past_middleware else self.app
                answered, line, headers = run_wsgi_app(wsgi_app, environ, buffered=True)
                status, location = int(line.split()[0]), headers.get("location")
                _close(answered)
            except Exception as raised:  # noqa: BLE001  # the app's own, which a server would answer 500
                error = type(raised).__name__
        seconds = time.perf_counter() - started
        return Answer(status, location, stage.reached, next(iter(refused), None), tuple(hooks), error, seconds)

    @contextmanager
    def _silenced(self, stage: MemoryStore) -> Iterator[None]:
        """Call no receiver, and store, log and report nothing while the block runs."""
        logs = {log: log.disabled for log in (logging.getLogger("flask_whop"), self.app.logger)}
        with ExitStack() as silenced:
            for signal in vars(signals).values():
                if isinstance(signal, AppSignal):
                    silenced.enter_context(signal.muted())
            silenced.enter_context(got_request_exception.muted())
            silenced.enter_context(self._installation.engine.using(stage))
            for log in logs:
                log.disabled = True
            try:
                yield
            finally:
                for log, disabled in logs.items():
                    log.disabled = disabled


class _Stage(MemoryStore):
    """Grants no claim, so that the engine calls nobody, and keeps nothing."""

    def __init__(self, *, running: bool) -> None:
        super().__init__()
        self.reached = False
        self._owned = not running

    def claim(self, arrival: Arrival, token: str, lease: float) -> Claim:  # noqa: ARG002  # the protocol's
        """Say that somebody else has it."""
        self.reached = True
        return Claim(granted=False, owned=self._owned)

    def accept(self, arrival: Arrival, due_in: float, hold: Hold | None = None) -> Accepted:  # noqa: ARG002  # likewise
        """Say that it is here already, or running."""
        self.reached = True
        return Accepted(changed=False, state=State.DUE if self._owned else State.RUNNING, owned=self._owned)


def host_of(installation: Installation) -> str:
    """A host that the app answers for."""
    config = installation.app.config
    named = installation.settings.host or config.get("SERVER_NAME") or "localhost"
    trusted = config.get("TRUSTED_HOSTS")
    # Flask asks TRUSTED_HOSTS alone whether it answers, so that SERVER_NAME need not be among them.
    if not trusted or host_is_trusted(named, trusted) or installation.settings.host:
        return str(named)
    return str(next(iter([trusted] if isinstance(trusted, str) else trusted))).lstrip(".")


def _close(answered: object) -> None:
    close = getattr(answered, "close", None)
    if close is not None:
        close()
