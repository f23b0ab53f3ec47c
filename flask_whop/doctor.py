"""The signature doctor: says in the log why a delivery could not be verified, off the answer's path."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Final, NamedTuple
from weakref import WeakKeyDictionary

from flask_whop.errors import Reason, Rejected
from flask_whop.installation import KEY, Installation

if TYPE_CHECKING:
    from flask import Flask

    from flask_whop.diagnosis.mistakes import Diagnosis, Mistake

log: logging.Logger = logging.getLogger("flask_whop")

_EXPLAINABLE = frozenset(
    {
        *(Reason.SIGNATURE_MISMATCH, Reason.TIMESTAMP_TOO_OLD, Reason.TIMESTAMP_TOO_NEW),
        *(Reason.BODY_EATEN, Reason.BODY_NOT_UTF8, Reason.OLD_FORMAT),
    }
)

_MAX_BYTES = 1_048_576


class Captured(NamedTuple):
    """What of a request a diagnosis reads."""

    headers: Mapping[str, str]
    """Named in lower case."""
    body: bytes


class Refused(NamedTuple):
    """A request that was rejected."""

    rejection: Rejected
    captured: Captured


class _Case(NamedTuple):
    app: Flask
    refused: Refused
    now: float


class SignatureDoctor:
    """Diagnoses some of the requests that this process rejects, by a thread that ends when none waits.

    At most ``room`` requests wait, and what comes beyond that is let go: a flood of
    forgeries costs next to nothing. One is diagnosed every ``pace`` seconds, and the
    same finding is logged for an app once in ``repeat_after`` seconds.
    """

    def __init__(self, *, room: int = 4, pace: float = 1.0, repeat_after: float = 300.0) -> None:
        self.room = room
        self._pace = pace
        self._repeat_after = repeat_after
        self._told: WeakKeyDictionary[Flask, dict[Mistake, float]] = WeakKeyDictionary()
        self._start_afresh()
        if hasattr(os, "register_at_fork"):
            # A fork takes no thread along, and perhaps a lock that nobody will open.
            os.register_at_fork(after_in_child=self._start_afresh)

    def _start_afresh(self) -> None:
        self._lock = threading.Lock()
        self._cases: deque[_Case] = deque()
        self._thread: threading.Thread | None = None
        self._rested_at = 0.0
        self._hurry = threading.Event()

    def attend(self, app: Flask) -> Callable[[Rejected, Callable[[], Captured]], None]:
        """Make what ``app`` tells of each rejection; it never raises, and returns at once."""
        self._told[app] = {}

        def consult(rejection: Rejected, read: Callable[[], Captured]) -> None:
            watched = _watched.get()
            if watched is not None:
                watched.append(Refused(rejection, read()))
            elif len(self._cases) < self.room and rejection.reason in _EXPLAINABLE:
                self._admit(app, Refused(rejection, read()))

        return consult

    @property
    def apps(self) -> list[Flask]:
        """The apps that it attends, those that are gone left out."""
        return list(self._told)

    def finish(self, timeout: float = 10.0) -> bool:
        """Diagnose what waits without resting, and return when all is told; False if it takes longer.

        Made for tests.
        """
        self._hurry.set()
        try:
            if (thread := self._thread) is not None:
                thread.join(timeout)
                return not thread.is_alive()
            return True
        finally:
            self._hurry.clear()

    def _admit(self, app: Flask, refused: Refused) -> None:
        if len(refused.captured.body) > _MAX_BYTES:
            return
        try:
            # Here and not in the thread: a process forked in the middle of an import finds half a module.
            import_module("flask_whop.diagnosis")

            with self._lock:
                self._cases.append(_Case(app, refused, Installation.of(app).verifier.clock()))
                if self._thread is None:
                    thread = threading.Thread(target=self._work, name="flask-whop doctor", daemon=True)
                    thread.start()
                    self._thread = thread
        except Exception:  # no more threads can be started, or the process ends
            log.debug("A rejected delivery could not be diagnosed.", exc_info=True)

    def _work(self) -> None:
        while (case := self._next()) is not None:
            try:
                self._tell(case)
            except Exception:
                log.debug("A rejected delivery could not be diagnosed.", exc_info=True)

    def _next(self) -> _Case | None:
        self._hurry.wait(max(0.0, self._rested_at + self._pace - time.monotonic()))
        with self._lock:
            if not self._cases:
                self._thread = None
                return None
            self._rested_at = time.monotonic()
            return self._cases.popleft()

    def _tell(self, case: _Case) -> None:
        found = examine(case.app, case.refused.captured, now=case.now)
        if found is None:
            return
        told = self._told.setdefault(case.app, {})
        last = told.get(found.mistake)
        if last is not None and time.monotonic() - last < self._repeat_after:
            return
        told[found.mistake] = time.monotonic()
        log.warning(
            "Why delivery %s was rejected (%s): %s",
            case.refused.rejection.delivery_id or "-",
            found.mistake.value,
            found,
        )


DOCTOR: Final = SignatureDoctor()
"""That of this process."""

_watched: ContextVar[list[Refused] | None] = ContextVar("flask_whop.watched", default=None)


@contextmanager
def watching() -> Iterator[list[Refused]]:
    """Collect what is rejected while the block runs, in this thread or task, and diagnose nothing of it."""
    refused: list[Refused] = []
    token = _watched.set(refused)
    try:
        yield refused
    finally:
        _watched.reset(token)


def examine(app: Flask, captured: Captured, *, now: float) -> Diagnosis | None:
    """Find the known mistake that keeps a request from being verified by ``app``; None if none explains it.

    The secrets of the other apps of this process, of the app's configuration and of the
    environment are tried as those of others.
    """
    from flask_whop.diagnosis import diagnose  # noqa: PLC0415  # most processes never need it

    settings = Installation.of(app).settings
    others = {
        name: several
        for name, secrets in _others(app)
        if (several := [secret for secret in secrets if secret not in settings.secrets])
    }
    return diagnose(*captured, settings.secrets, others=others, now=now, tolerance=settings.tolerance)


def _others(app: Flask) -> Iterator[tuple[str, Sequence[str]]]:
    """The secrets of others that this process knows, by what to call them."""
    from flask_whop.diagnosis.guesses import WHOP_SECRET  # noqa: PLC0415  # most processes never need it

    for key, value in list(app.config.items()):
        if isinstance(value, str) and (secrets := WHOP_SECRET.findall(value)):
            yield f"app.config[{key!r}]", secrets
    for name, value in list(os.environ.items()):
        if secrets := WHOP_SECRET.findall(value):
            yield f"the environment variable {name}", secrets
    for other in DOCTOR.apps:
        installation = other.extensions.get(KEY)
        if other is not app and isinstance(installation, Installation):
            yield f"the app {other.name!r}", installation.settings.secrets
