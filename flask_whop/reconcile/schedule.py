"""Pulls again and again beside a worker, so what was missed arrives within minutes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flask_whop.engine.installation import Installation
from flask_whop.errors import FlaskWhopError
from flask_whop.logs import log
from flask_whop.reconcile.pull import pull_all
from flask_whop.reconcile.webhooks import api_of, chosen

if TYPE_CHECKING:
    from flask import Flask
    from typing_extensions import Self


class _Stopped(FlaskWhopError):
    """A worker was stopped while a pull waited for Whop's API."""


class PullEvery:
    """Pulls the logs of the app's webhooks while a block runs: at once, and then every ``seconds``.

    ``webhook_ids`` names them, instead of ``WHOP_PUBLIC_URL``. What can't be pulled is
    logged, and tried again the next time.
    """

    def __init__(self, app: Flask, seconds: float, webhook_ids: Sequence[str] = ()) -> None:
        self._app = app
        self._seconds = seconds
        self._webhook_ids = webhook_ids
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flask-whop pull", daemon=True)
        self.pulled: int = 0
        """How many deliveries were run or accepted so far."""

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop after the delivery that is being run."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self._pull()
            except _Stopped:
                return
            except FlaskWhopError as error:
                log.warning("Whop's log couldn't be pulled; trying again in %.0f s: %s", self._seconds, error)
            except Exception:
                log.exception("Whop's log couldn't be pulled; trying again in %.0f s.", self._seconds)
            self._over.wait(self._seconds)

    def _pull(self) -> None:
        from flask_whop.api.pace import Pace  # noqa: PLC0415  # an extra

        with self._app.app_context():
            installation = Installation.of(self._app)
            with api_of(installation, pace=Pace(sleep=self._wait), waiting=self._note_waiting) as api:
                webhooks = chosen(installation, api, self._webhook_ids)
                self.pulled += pull_all(installation, api, webhooks, stopping=self._over.is_set).total()

    def _wait(self, seconds: float) -> None:
        """Wait for Whop's API, unless the worker is stopped meanwhile."""
        if self._over.wait(seconds):
            raise _Stopped

    def _note_waiting(self, seconds: float, reason: str) -> None:
        log.info("Whop's API makes a pull wait for %.0f s: %s", seconds, reason)
