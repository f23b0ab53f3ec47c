"""What became of one delivery of the test kit."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

from pydantic import JsonValue
from werkzeug.test import TestResponse

from flask_whop.errors import Rejected
from flask_whop.events import AnyEvent

EventT_co = TypeVar("EventT_co", bound=AnyEvent, covariant=True)

_SUCCESS = range(200, 300)


def status_of(response: TestResponse) -> str | None:
    """Return the ``status`` of a JSON answer; None if it has none."""
    content = response.get_json(silent=True)
    status = content.get("status") if isinstance(content, dict) else None
    return status if isinstance(status, str) else None


@dataclass(frozen=True, eq=False)
class ReceiverFailure:
    """What a receiver raised."""

    receiver: str
    """The name of the receiver; ``module:qualname`` by default."""
    error: Exception
    """What it raised."""
    event: AnyEvent
    """The event that it was called with."""

    def __str__(self) -> str:
        """Name the receiver, the error, and the line that raised it."""
        raised = f"{self.receiver} raised {self.error!r}"
        frames = traceback.extract_tb(self.error.__traceback__)
        return f"{raised} ({frames[-1].filename}, line {frames[-1].lineno})" if frames else raised


@dataclass(frozen=True, eq=False, repr=False)
class Answer(Generic[EventT_co]):
    """How the app answered a delivery, and what its receivers did with it."""

    status_code: int
    """The HTTP status: 2xx if Whop need not send the delivery again."""
    status: str | None
    """The ``status`` of the JSON answer (``processed``, ``unhandled``, ``duplicate``, …).

    None if it has none, because a receiver answered (``shipping_address.changed``), or
    something else in the app did."""
    event: EventT_co
    """The delivered event; the very object that receivers got, if they were called."""
    failures: tuple[ReceiverFailure, ...]
    """What receivers raised during the delivery, including ``GiveUp`` and ``RetryLater``."""
    rejection: Rejected | None
    """Why it was rejected, if it was."""
    delivery_id: str
    """Its ``webhook-id``."""
    body: bytes = field(repr=False)
    """The body that was sent."""
    response: TestResponse = field(repr=False)
    """The whole answer."""

    @property
    def ok(self) -> bool:
        """Whether it was answered 2xx, and no receiver failed."""
        return self.status_code in _SUCCESS and not self.failures

    @property
    def json(self) -> JsonValue:
        """The answer's JSON; None if it isn't JSON."""
        return cast("JsonValue", self.response.get_json(silent=True))

    @property
    def retry_after(self) -> float | None:
        """After how many seconds the app wants the retry; None if it doesn't say."""
        value = self.response.headers.get("Retry-After", "")
        return float(value) if value.isdecimal() else None

    def story(self) -> str:
        """Say in a few lines what became of the delivery."""
        return "\n  ".join(self._lines())

    def __repr__(self) -> str:
        """Show the answer, the event, and what was raised, in one line."""
        failures = "".join(f"; {failure.receiver} raised {failure.error!r}" for failure in self.failures)
        return f"<Answer {self._answered()} to {self._delivered()}{failures}>"

    def _delivered(self) -> str:
        return f"{self.event.type or 'a body of no type'} {self.delivery_id}"

    def _answered(self) -> str:
        return f"{self.status_code} {self.status or '(without a status)'}"

    def _lines(self) -> Iterator[str]:
        yield f"{self._delivered()} was answered {self._answered()}."
        if self.rejection is not None:
            yield f"{self.rejection.reason.value}: {self.rejection.reason.advice}."
        elif self.status is None:
            yield (
                "The answer isn't flask_whop's: a before_request function or middleware of the app answered instead of"
                " the webhook route."
            )
        yield from map(str, self.failures)
