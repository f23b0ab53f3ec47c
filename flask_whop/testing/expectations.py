"""What a test can expect of the events that reached an app."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeVar, overload

from flask_whop.errors import CheckFailed, Rejected
from flask_whop.events import AnyEvent
from flask_whop.signals.patterns import matching
from flask_whop.testing.answers import ReceiverFailure
from flask_whop.testing.listener import Listener

E = TypeVar("E", bound=AnyEvent)

_MOST_LISTED = 20


class Expectations:
    """What reached an app, with assertions that say what they found instead."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    @property
    def captured(self) -> list[AnyEvent]:
        """The events that reached the app, in order, each once however often it was delivered."""
        return list(self._listener.events.values())

    @property
    def failures(self) -> list[ReceiverFailure]:
        """What receivers raised, in order."""
        return list(self._listener.failures)

    @property
    def rejections(self) -> list[Rejected]:
        """Why requests were rejected, in order."""
        return list(self._listener.rejections)

    @overload
    def assert_received(self, event: type[E], /, *, times: int | None = None) -> list[E]: ...
    @overload
    def assert_received(self, event: str, /, *, times: int | None = None) -> list[AnyEvent]: ...
    def assert_received(self, event: type[AnyEvent] | str, /, *, times: int | None = None) -> list[Any]:
        """Check that ``event`` reached the app, and return the events.

        ``event`` is a class, a name (``"payment.succeeded"``) or a pattern
        (``"payment.*"``). ``times`` is how many there must be, by default at least one.
        An event that was delivered more than once counts once.

        Raises :class:`~flask_whop.errors.CheckFailed`, which says what was received,
        and :class:`~flask_whop.errors.UnknownEventError` if no event has this name.
        """
        __tracebackhide__ = True
        events = self._of(event)
        if times is None and not events:
            raise CheckFailed(f"{_named(event)} was not received.\n{self._received()}")
        if times is not None and len(events) != times:
            wanted = f"should have been received {_times(times)}" if times else "should not have been received"
            raise CheckFailed(f"{_named(event)} {wanted}, but was received {_times(len(events))}.\n{self._received()}")
        return events

    def assert_not_received(self, event: type[AnyEvent] | str = "*", /) -> None:
        """Check that ``event``, a class, a name or a pattern, didn't reach the app; by default, that no event did.

        Raises what :meth:`assert_received` raises.
        """
        __tracebackhide__ = True
        self.assert_received(event, times=0)

    def assert_failed(self, error: type[Exception] = Exception, /, *, receiver: str | None = None) -> ReceiverFailure:
        """Check that a receiver raised ``error``, and return the first such failure.

        ``receiver`` is the name of the receiver, or of its function.

        Raises :class:`~flask_whop.errors.CheckFailed`, which says what was raised.
        """
        __tracebackhide__ = True
        for failure in self._listener.failures:
            if isinstance(failure.error, error) and _is_called(receiver, failure):
                return failure
        raise CheckFailed(
            f"{receiver or 'No receiver'} {'did not raise' if receiver else 'raised'} {error.__name__}.\n"
            f"{_listed('What receivers raised', self._listener.failures)}"
        )

    def assert_nothing_failed(self) -> None:
        """Check that no receiver failed, and that no request was rejected.

        Raises :class:`~flask_whop.errors.CheckFailed`, which says what happened.
        """
        __tracebackhide__ = True
        failures, rejections = self._listener.failures, self._listener.rejections
        if failures or rejections:
            causes = [*failures, *(f"rejected: {rejection.reason.value}" for rejection in rejections)]
            cause = failures[0].error if failures else rejections[0]
            raise CheckFailed(_listed("Something failed", causes)) from cause

    def _of(self, event: type[AnyEvent] | str) -> list[AnyEvent]:
        captured = self.captured
        if not isinstance(event, str):
            return [each for each in captured if isinstance(each, event)]
        events = [each for each in captured if fnmatchcase(each.type, event)]
        if not events:
            matching(event)  # a misspelled name would make assert_not_received pass
        return events

    def _received(self) -> str:
        listed = _listed("What was received", [f"{event.type or '(no type)'} {event.id}" for event in self.captured])
        if not self._listener.rejections:
            return listed
        return f"{listed}\n{_listed('Rejected', [rejection.reason.value for rejection in self._listener.rejections])}"


def _named(event: type[AnyEvent] | str) -> str:
    return event if isinstance(event, str) else event.__name__


def _times(number: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(number, f"{number} times")


def _is_called(name: str | None, failure: ReceiverFailure) -> bool:
    return name is None or failure.receiver == name or failure.receiver.endswith((f":{name}", f".{name}"))


def _listed(title: str, lines: Sequence[object]) -> str:
    if not lines:
        return f"{title}: nothing."
    left_out = [f"… and {len(lines) - _MOST_LISTED} more"] if len(lines) > _MOST_LISTED else []
    return "\n  ".join([f"{title}:", *map(str, lines[:_MOST_LISTED]), *left_out])
