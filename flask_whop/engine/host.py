"""The host app: whom to call, how its functions are called, and how it hears of errors."""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from flask import got_request_exception

from flask_whop import signals
from flask_whop.engine.interruptions import Cause, cause_of
from flask_whop.errors import MissingExtraError, ReceiverError
from flask_whop.events import UnknownEvent
from flask_whop.logs import log
from flask_whop.signals.app_signal import AppSignal, Snapshot
from flask_whop.signals.checks import unrun
from flask_whop.signals.terms import Call

_LONGEST_ANSWER = 32_768

if TYPE_CHECKING:
    from flask import Flask

    from flask_whop.engine.tracing import Tracing
    from flask_whop.events import AnyEvent


class Host:
    """The app that receives events."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.tracing: Tracing | None = None
        """Puts spans around what is done, if anybody wants them."""
        self._snapshots: dict[AppSignal, Snapshot] = {}

    def calls_for(self, event: AnyEvent) -> Sequence[Call]:
        """Return the calls to the receivers of ``event``, in the order of connection."""
        if isinstance(event, UnknownEvent):
            return signals.unknown_event.calls_for_type(self.app, event.type)
        signal = signals.EVENT_SIGNALS[event.type]
        last = self._snapshots.get(signal)
        snapshot = signal.snapshot(self.app, last)
        if snapshot is not last:
            self._snapshots.pop(signal, None)
            if snapshot.version is not None:
                self._snapshots[signal] = snapshot
        return snapshot.calls

    def call(self, name: str, receiver: Callable[..., object], /, **keywords: object) -> object:
        """Call a receiver to its end, and return what it returned; what it raises is raised."""
        result = receiver(self.app, **keywords)
        if result is not None and inspect.isawaitable(result):
            result = self._await(name, result)
        if (left := unrun(result)) is not None:
            raise ReceiverError(f"{name} returned {left}, and nothing of it has run: leave out yield, or run it.")
        return result

    def answer_of(self, name: str, returned: object) -> str:
        """Return what a receiver returned to an event that wants an answer, as JSON."""
        from flask_whop.events.shipping import ShippingQuote  # noqa: PLC0415  # most processes never need it

        answer = returned._asdict() if isinstance(returned, ShippingQuote) else returned
        if not isinstance(answer, Mapping):
            raise ReceiverError(
                f"{name} returned {type(returned).__qualname__}, which is no answer: return a mapping, or a"
                " flask_whop.events.ShippingQuote."
            )
        try:
            # Twice: the app's own provider may leave letters in it that a database can't store.
            text = json.dumps(json.loads(self.app.json.dumps(dict(answer), allow_nan=False)), allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise ReceiverError(f"{name} returned an answer that can't be written as JSON: {error}.") from None
        if len(text) > _LONGEST_ANSWER:
            raise ReceiverError(f"{name} returned an answer of {len(text)} bytes; at most {_LONGEST_ANSWER} are kept.")
        return text

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

    def report(self, error: Exception) -> None:
        """Report an error to error trackers, which listen to ``got_request_exception``.

        Flask never sees it, since the view answers on its own.
        """
        try:
            got_request_exception.send(self.app, _async_wrapper=self.app.ensure_sync, exception=error)
        except BaseException as raised:
            if cause_of(raised) is not Cause.FAILURE:
                raise
            log.exception("A receiver of got_request_exception raised.")

    def _await(self, name: str, result: Awaitable[object]) -> object:
        async def wait() -> object:
            return await result

        try:
            run = self.app.ensure_sync(wait)
        except RuntimeError:
            if inspect.iscoroutine(result):
                result.close()
            raise MissingExtraError(
                f'{name} returned a coroutine, which needs: pip install "flask-whop[async]"'
            ) from None
        return run()
