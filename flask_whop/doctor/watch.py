"""The signature doctor: logs why a request couldn't be verified, after the answer."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, NamedTuple
from weakref import WeakKeyDictionary

from flask_whop.engine.installation import Installation
from flask_whop.errors import Reason, Rejected
from flask_whop.forks import renew_after_fork
from flask_whop.logs import facts, log
from flask_whop.signals import rejection_diagnosed
from flask_whop.signature import is_legacy

if TYPE_CHECKING:
    from flask import Flask

    from flask_whop.doctor.finding import Finding

_EXPLAINABLE = frozenset(
    {
        *(Reason.SIGNATURE_MISMATCH, Reason.TIMESTAMP_TOO_OLD, Reason.TIMESTAMP_TOO_NEW),
        *(Reason.BODY_EATEN, Reason.BODY_NOT_UTF8, Reason.OLD_FORMAT),
    }
)


class Captured(NamedTuple):
    """The parts of a request that a diagnosis reads."""

    headers: Mapping[str, str]
    """Named in lower case."""
    body: bytes


class Refused(NamedTuple):
    """A request that was rejected."""

    rejection: Rejected
    captured: Captured


class SignatureDoctor:
    """Diagnoses some of the requests that this process rejects, each after its own answer.

    It diagnoses one request every ``pace`` seconds, never two at once, and drops the
    others: nothing waits for it, and a flood of forgeries costs next to nothing. The
    same diagnosis is logged for an app once in ``repeat_after`` seconds.
    """

    def __init__(self, *, pace: float = 1.0, repeat_after: float = 300.0) -> None:
        self.pace = pace
        self._repeat_after = repeat_after
        self._logged_at: WeakKeyDictionary[Flask, dict[str, float]] = WeakKeyDictionary()
        self._start_afresh()
        renew_after_fork(self._start_afresh)

    def _start_afresh(self) -> None:
        self._lock = threading.Lock()
        self._rests_until = -math.inf

    def watch(self, app: Flask) -> Callable[[Rejected, Callable[[], Captured]], Callable[[], None] | None]:
        """Make a function for the rejections of ``app``; it never raises, and returns at once.

        What it returns, if anything, must be called after the answer.
        """
        self._logged_at[app] = {}

        def rejected(rejection: Rejected, read: Callable[[], Captured]) -> Callable[[], None] | None:
            watched = _watched.get()
            if watched is not None:
                watched.append(Refused(rejection, read()))
            elif rejection.reason in _EXPLAINABLE and time.monotonic() >= self._rests_until:
                refused, now = Refused(rejection, read()), Installation.of(app).verifier.clock()
                return lambda: self._diagnose(app, refused, now)
            return None

        return rejected

    @property
    def apps(self) -> list[Flask]:
        """The apps that it watches and that still exist."""
        return list(self._logged_at)

    def _diagnose(self, app: Flask, refused: Refused, now: float) -> None:
        lock = self._lock
        if not lock.acquire(blocking=False):
            return
        resting = time.monotonic() < self._rests_until
        try:
            if not resting:
                self._log(app, refused, now)
        except Exception:
            log.debug("A rejected request couldn't be diagnosed.", exc_info=True)
        finally:
            if not resting:
                self._rests_until = time.monotonic() + self.pace
            lock.release()

    def _log(self, app: Flask, refused: Refused, now: float) -> None:
        diagnosis = examine(app, refused.captured, now=now)
        if diagnosis is None:
            return
        with app.app_context():
            Installation.of(app).engine.notify(rejection_diagnosed, rejection=refused.rejection, finding=diagnosis)
        logged_at = self._logged_at.setdefault(app, {})
        last = logged_at.get(diagnosis.id)
        if last is not None and time.monotonic() - last < self._repeat_after:
            return
        logged_at[diagnosis.id] = time.monotonic()
        log.warning(
            "Why delivery %s was rejected (%s): %s",
            refused.rejection.delivery_id or "-",
            diagnosis.id,
            diagnosis,
            extra=facts(delivery=refused.rejection.delivery_id, reason=diagnosis.id),
        )


DOCTOR: Final = SignatureDoctor()
"""The one of this process."""

_watched: ContextVar[list[Refused] | None] = ContextVar("flask_whop.watched", default=None)


@contextmanager
def watching() -> Iterator[list[Refused]]:
    """Collect the requests rejected while the block runs, in this thread or task, instead of diagnosing them."""
    refused: list[Refused] = []
    token = _watched.set(refused)
    try:
        yield refused
    finally:
        _watched.reset(token)


def examine(app: Flask, captured: Captured, *, now: float) -> Finding | None:
    """Find the known mistake that keeps ``app`` from verifying a request; None if none explains it.

    It also tries the secrets of other apps in this process, in the app's configuration
    and in the environment.
    """
    from flask_whop.doctor.diagnosis import diagnose  # noqa: PLC0415  # most processes never need it

    settings = Installation.of(app).settings
    others = {
        name: several
        for name, secrets in _others(app)
        if (several := [secret for secret in secrets if secret not in settings.secrets])
    }
    legacy = settings.legacy_webhooks and is_legacy(captured.headers)
    return diagnose(*captured, settings.secrets, others=others, now=now, tolerance=settings.tolerance, legacy=legacy)


def _others(app: Flask) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield the other secrets that this process knows, and where they are."""
    from flask_whop.doctor.diagnosis.guesses import WHOP_SECRET  # noqa: PLC0415  # most processes never need it

    for key, value in list(app.config.items()):
        if isinstance(value, str) and (secrets := WHOP_SECRET.findall(value)):
            yield f"app.config[{key!r}]", secrets
    for name, value in list(os.environ.items()):
        if secrets := WHOP_SECRET.findall(value):
            yield f"the environment variable {name}", secrets
    for other in DOCTOR.apps:
        installation = Installation.find(other)
        if other is not app and installation is not None:
            yield f"the app {other.name!r}", installation.settings.secrets
