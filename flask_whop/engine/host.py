"""How the functions of the host app are called, and what it is told of their errors."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from flask_whop.engine.interruptions import Cause, cause_of
from flask_whop.errors import MissingExtraError, ReceiverError
from flask_whop.logs import log
from flask_whop.signals.kinds import AppSignal, Call, Snapshot, unrun

if TYPE_CHECKING:
    from flask import Flask


class Host:
    """The app that receives events.

    ``wait`` awaits what an asynchronous receiver returned. ``report`` is told what a
    receiver raised, for error trackers.
    """

    def __init__(
        self,
        app: Flask,
        wait: Callable[[Awaitable[object]], object],
        report: Callable[[Exception], object],
    ) -> None:
        self.app = app
        self._wait = wait
        self.report = report
        self._known: dict[AppSignal, Snapshot] = {}

    def calls_of(self, signal: AppSignal) -> Sequence[Call]:
        """Whom ``signal`` calls for the app; looked up once, and again when a connection has changed."""
        last = self._known.get(signal)
        now = signal.snapshot(self.app, last)
        if now is not last:
            self._known.pop(signal, None)
            if now.version is not None:
                self._known[signal] = now
        return now.calls

    def call(self, name: str, receiver: Callable[..., object], /, **keywords: object) -> None:
        """Call a receiver to its end; what it raises is raised."""
        result = receiver(self.app, **keywords)
        if result is None:
            return
        if inspect.isawaitable(result):
            self._await(name, result)
        elif (left := unrun(result)) is not None:
            raise ReceiverError(f"{name} gave {left}, of which nothing has run: leave out yield, or run it.")

    def notify(self, signal: AppSignal, **keywords: object) -> None:
        """Send a lifecycle signal; what its receivers raise is logged and goes no further."""
        if not signal.receivers:
            return
        for call in signal.calls_for(self.app):
            try:
                self.call(call.name, call.receiver, **keywords)
            except BaseException as error:
                if cause_of(error) is not Cause.FAILURE:
                    raise
                log.exception("%s, a receiver of %s, raised; the delivery goes on.", call.name, signal.name)

    def _await(self, name: str, result: Awaitable[object]) -> None:
        try:
            self._wait(result)
        except MissingExtraError:
            if inspect.iscoroutine(result):
                result.close()
            raise MissingExtraError(f'{name} gave a coroutine, which needs: pip install "flask-whop[async]"') from None
