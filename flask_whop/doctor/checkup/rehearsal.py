"""Sends signed requests through an app's own WSGI stack, runs no receiver, and leaves nothing behind.

It needs a process of its own, as ``flask whop doctor`` has: meanwhile, the app's engine
works with a store that keeps nothing, and the app's hooks are watched.
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
    """What became of one request."""

    status: int
    location: str | None
    """Where a redirect leads."""
    reached: bool
    """Whether it was verified and taken as a delivery."""
    refused: Refused | None
    """What arrived, if our route rejected it."""
    hooks: tuple[Hook, ...]
    error: str | None
    """The type of what the app raised, if that reached the server."""
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
                # A parser that writes JSON again would write this differently.
                "data": {"id": "obj_1", "name": "Zoë & Mara", "total": 10},
            },
            separators=(",", ":"),
            ensure_ascii=False,
        ).encode()
        self._installation = Installation.of(app)

    @property
    def has_middleware(self) -> bool:
        """Whether WSGI middleware wraps the app."""
        return getattr(self.app.wsgi_app, "__self__", None) is not self.app

    def genuine(self, *, scheme: str = "https", past_middleware: bool = False) -> Answer:
        """Send what Whop would send."""
        return self._send(self._installation.secret, scheme, past_middleware=past_middleware)

    def failing(self) -> Answer:
        """Send what must be answered 409: a delivery that is running, which Whop should send again."""
        return self._send(self._installation.secret, "https", running=True)

    def forged(self) -> Answer:
        """Send a request signed with another secret."""
        return self._send(f"ws_{uuid4().hex}{uuid4().hex}", "https")

    def _send(self, secret: str, scheme: str, *, running: bool = False, past_middleware: bool = False) -> Answer:
        environ = self._environ(secret, scheme, past_middleware=past_middleware)
        # In its own context, as a server would: without the app context of a command.
        return Context().run(self._perform, environ, running=running, past_middleware=past_middleware)

    def _environ(self, secret: str, scheme: str, *, past_middleware: bool) -> WSGIEnvironment:
        settings = self._installation.settings
        # A server puts the whole path into PATH_INFO, and middleware that mounts the app takes its part from there.
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
            except Exception as raised:  # noqa: BLE001  # the app's, which a server would answer 500
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
    """Keeps nothing, and grants no claim, so the engine calls nobody."""

    def __init__(self, *, running: bool) -> None:
        super().__init__()
        self.reached = False
        self._owned = not running

    def claim(self, arrival: Arrival, token: str, lease: float) -> Claim:  # noqa: ARG002  # the protocol's
        """Say that another process has it."""
        self.reached = True
        return Claim(granted=False, owned=self._owned)

    def accept(self, arrival: Arrival, due_in: float, hold: Hold | None = None) -> Accepted:  # noqa: ARG002  # likewise
        """Say that it's already here, or running."""
        self.reached = True
        return Accepted(changed=False, state=State.DUE if self._owned else State.RUNNING, owned=self._owned)


def host_of(installation: Installation) -> str:
    """Return a host that the app answers for."""
    config = installation.app.config
    named = installation.settings.host or config.get("SERVER_NAME") or "localhost"
    trusted = config.get("TRUSTED_HOSTS")
    # Flask only looks at TRUSTED_HOSTS, which needn't list SERVER_NAME.
    if not trusted or host_is_trusted(named, trusted) or installation.settings.host:
        return str(named)
    return str(next(iter([trusted] if isinstance(trusted, str) else trusted))).lstrip(".")


def _close(answered: object) -> None:
    close = getattr(answered, "close", None)
    if close is not None:
        close()
