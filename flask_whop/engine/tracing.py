"""Where spans go: what an engine lets an observer put around its work."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from flask_whop.engine.outcomes import Outcome
    from flask_whop.events import AnyEvent
    from flask_whop.stores import Accepted

OutcomeT = TypeVar("OutcomeT", bound="Outcome | None")


class Kept(NamedTuple):
    """A delivery that has been accepted, or was before."""

    outcome: Outcome
    accepted: Accepted
    since: float
    """When it was, by ``time.monotonic()``."""
    opened_at: float
    """When it was, by the store's clock."""
    trace: str | None
    """The span in which it was accepted, as a W3C ``traceparent``."""


class Ending(NamedTuple):
    """How the call of a receiver ended."""

    outcome: str
    """As ``receiver_called`` has it."""
    error: BaseException | None = None


class Tracing(Protocol):
    """Calls ``work`` once, in a span, and returns what it returns or raises what it raises.

    None of it may put what ``event`` carries, or the text of an error, into a span.
    """

    def here(self) -> str | None:
        """Return the current span as a W3C ``traceparent`` of up to 64 characters; None if there is none."""
        ...

    def accept(self, event: AnyEvent, delivery_id: str, work: Callable[[], Kept]) -> Kept:
        """Store a delivery, whose receivers run later."""
        ...

    def process(
        self, event: AnyEvent, delivery_id: str, arrived_in: str | None, work: Callable[[], OutcomeT]
    ) -> OutcomeT:
        """Run the receivers of a delivery, which the span ``arrived_in`` has brought if that isn't this one."""
        ...

    def call(self, event: AnyEvent, delivery_id: str, receiver: str, work: Callable[[], Ending]) -> Ending:
        """Call one receiver, and commit what it has written."""
        ...
