"""What one use of ``WhopWebhooks.on`` connects: one receiver to several signals, of each app it serves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask_whop.errors import SetupError
from flask_whop.events import Event, UnknownEvent
from flask_whop.signals import EVENT_SIGNALS, unknown_event
from flask_whop.signals.kinds import EventSignal
from flask_whop.signals.patterns import matching
from flask_whop.signals.terms import Rival, Terms, clash

if TYPE_CHECKING:
    from flask import Flask

    from flask_whop.events import AnyEvent


@dataclass(frozen=True)
class Subscription:
    """One receiver and the events it takes."""

    receiver: Callable[..., object]
    event_types: tuple[str, ...]
    terms: Terms
    """With the patterns, which take events of unknown types as well."""
    by_pattern: frozenset[str] = frozenset()
    """Those of the event types that only a pattern takes."""

    def connect(self, app: Flask) -> None:
        """Connect the receiver to all of the signals for ``app``, or to none if one of them refuses it."""
        self.check(app)
        for signal, terms in self._signals():
            signal.put(self.receiver, app, terms)

    def check(self, app: Flask) -> None:
        """Raise if one of the signals would refuse the receiver."""
        for signal, terms in self._signals():
            signal.rivals(self.receiver, app, terms)

    def disconnect(self, apps: Iterable[Flask]) -> None:
        """Disconnect the receiver from all of the signals."""
        for app in apps:
            for signal, _ in self._signals():
                signal.disconnect(self.receiver, app)

    def gives_way_to(self, other: Subscription) -> bool:
        """Whether ``other`` replaces it, after a reload; raise if the two share an event and a name otherwise."""
        shared = self._shared_with(other)
        if shared is None or self.receiver == other.receiver or not self.terms.shared_name(other.terms):
            return False
        rival = Rival(self.receiver, self.terms)
        if not rival.gives_way_to(other.receiver, other.terms):
            raise clash(other.receiver, other.terms, rival, shared)
        return True

    def _shared_with(self, other: Subscription) -> str | None:
        for event_type in self.event_types:
            if event_type in other.event_types:
                return event_type
        both = self.terms.patterns and other.terms.patterns
        return "unknown events" if both and self.terms.meet(other.terms) else None

    def _signals(self) -> Iterator[tuple[EventSignal[Any], Terms]]:
        for event_type in self.event_types:
            terms = self.terms._replace(patterns=(), by_pattern=event_type in self.by_pattern)
            yield EVENT_SIGNALS[event_type], terms
        if self.terms.patterns:
            yield unknown_event, self.terms


def select(events: Sequence[type[AnyEvent] | str]) -> tuple[tuple[str, ...], tuple[str, ...], frozenset[str]]:
    """Return the event types that ``events`` name, the patterns among them, and the types that those alone take."""
    if not events:
        raise SetupError('on() needs an event: a class, a name, or a pattern such as "payment.*".')
    types: dict[str, None] = {}
    named: set[str] = set()
    patterns: list[str] = []
    for event in events:
        if isinstance(event, str):
            types.update(dict.fromkeys(matching(event)))
            named.update(() if "*" in event else matching(event))
            patterns += [event] if "*" in event else []
        elif isinstance(event, type) and issubclass(event, UnknownEvent):
            patterns.append("*")
        elif isinstance(event, type) and issubclass(event, Event) and (event_type := getattr(event, "type", None)):
            types[event_type] = None
            named.add(event_type)
        else:
            raise SetupError(
                f"on() takes events by class, name or pattern, and got {event!r}; write @whop.on(PaymentSucceeded)."
            )
    return tuple(types), tuple(patterns), frozenset(types.keys() - named)
