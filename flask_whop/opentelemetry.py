"""Spans for OpenTelemetry: ``WhopTracing(app)``, with ``pip install "flask-whop[opentelemetry]"``.

They follow the semantic conventions for messaging, in which Whop is the messaging system, an
event type the destination, and a receiver a subscription to it:

- ``process payment.succeeded`` is a run of a delivery's receivers;
- ``call shop:fulfil``, within it, is the call of one of them, and the parent of its own spans;
- ``accept payment.succeeded`` stores a delivery whose receivers run later. Their ``process``
  links to it, however much later that is, and in whatever process.

A span says which delivery it is about and how it ended, and nothing of what the delivery
carries. Of an error it has the type alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from flask_whop.engine import Status
from flask_whop.engine.installation import Installation
from flask_whop.engine.tracing import Ending, Kept, OutcomeT
from flask_whop.errors import MissingExtraError
from flask_whop.events import UnknownEvent
from flask_whop.logs import log

try:
    from opentelemetry import trace
    from opentelemetry.context import Context, attach, detach
    from opentelemetry.trace import Link, Span, SpanKind, StatusCode, Tracer, TracerProvider
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError:
    raise MissingExtraError('Tracing needs: pip install "flask-whop[opentelemetry]"') from None

if TYPE_CHECKING:
    from flask import Flask

    from flask_whop.events import AnyEvent

_CONVENTIONS: Final = "https://opentelemetry.io/schemas/1.44.0"
_TRACEPARENT: Final = "traceparent"
_W3C: Final = TraceContextTextMapPropagator()


class WhopTracing:
    """Traces the deliveries of ``app``, with the tracers of ``tracer_provider``; by default with the global one.

    Make it after ``WhopWebhooks``, one for each app. The current span, such as that of
    Flask's instrumentation, is the parent of a delivery's.

    Raises :class:`~flask_whop.errors.SetupError` if the app isn't set up, or is traced already.
    """

    def __init__(self, app: Flask, tracer_provider: TracerProvider | None = None) -> None:
        tracer = trace.get_tracer("flask_whop", version("flask-whop"), tracer_provider, _CONVENTIONS)
        Installation.of(app).engine.trace_with(_Spans(tracer))


class _Spans:
    """Puts a span around each piece of an engine's work, which goes on if that fails."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def here(self) -> str | None:
        carrier: dict[str, str] = {}
        with _unharmed():
            _W3C.inject(carrier)
        return carrier.get(_TRACEPARENT)

    def accept(self, event: AnyEvent, delivery_id: str, work: Callable[[], Kept]) -> Kept:
        # To our own store, for a later run: not a "process" span, which a message has when it is handed on.
        about = _about(event, delivery_id, "accept", "send")
        with self._span(f"accept {_destination(event)}", SpanKind.PRODUCER, about) as notes:
            kept = work()
            notes.outcome = kept.outcome.status.value
        return kept

    def process(
        self, event: AnyEvent, delivery_id: str, arrived_in: str | None, work: Callable[[], OutcomeT]
    ) -> OutcomeT:
        about = _about(event, delivery_id, "process", "process")
        with self._span(f"process {_destination(event)}", SpanKind.CONSUMER, about, arrived_in) as notes:
            outcome = work()
            notes.outcome = None if outcome is None else outcome.status.value
        return outcome

    def call(self, event: AnyEvent, delivery_id: str, receiver: str, work: Callable[[], Ending]) -> Ending:
        delivery = trace.get_current_span()
        about = {**_about(event, delivery_id, "call", "process"), "messaging.destination.subscription.name": receiver}
        with self._span(f"call {receiver}", SpanKind.CONSUMER, about) as notes:
            ending = work()
            notes.outcome = ending.outcome
            if ending.error is not None and ending.outcome != Status.RETRY_LATER.value:
                notes.error = type(ending.error)
        if notes.error is not None:
            with _unharmed():
                _fail(delivery, notes.error)
        return ending

    @contextmanager
    def _span(
        self, name: str, kind: SpanKind, attributes: Mapping[str, str], arrived_in: str | None = None
    ) -> Iterator[_Notes]:
        span: Span = trace.INVALID_SPAN
        token, notes = None, _Notes()
        with _unharmed():
            span = self._tracer.start_span(name, None, kind, attributes, _links(arrived_in))
            token = attach(trace.set_span_in_context(span))
        try:
            yield notes
        except BaseException as error:
            notes.error = type(error)
            raise
        finally:
            with _unharmed():
                if token is not None:
                    detach(token)
                if notes.outcome is not None:
                    span.set_attribute("messaging.whop.outcome", notes.outcome)
                if notes.error is not None:
                    _fail(span, notes.error)
                span.end()


class _Notes:
    """What is known in the end of what a span covers."""

    def __init__(self) -> None:
        self.outcome: str | None = None
        self.error: type[BaseException] | None = None
        """The type alone: an error's text may say anything."""


@contextmanager
def _unharmed() -> Iterator[None]:
    """Log what a span processor or a sampler raises: a delivery that isn't traced is better than one that fails."""
    try:
        yield
    except Exception:
        log.exception("A span couldn't be recorded; what it is about goes on.")


def _destination(event: AnyEvent) -> str:
    # A type that this release doesn't know is any text that a sender writes.
    return "unknown" if isinstance(event, UnknownEvent) else event.type


def _about(event: AnyEvent, delivery_id: str, operation: str, kind: str) -> dict[str, str]:
    return {
        "messaging.system": "whop",
        "messaging.operation.name": operation,
        "messaging.operation.type": kind,
        "messaging.destination.name": _destination(event),
        "messaging.message.id": delivery_id,
    }


def _links(traceparent: str | None) -> list[Link]:
    if traceparent is None:
        return []
    context = _W3C.extract({_TRACEPARENT: traceparent}, Context())
    arrived_in = trace.get_current_span(context).get_span_context()
    return [Link(arrived_in)] if arrived_in.is_valid else []


def _fail(span: Span, kind: type[BaseException]) -> None:
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    span.set_attribute("error.type", name)
    span.set_status(StatusCode.ERROR)
