"""What became of the events of a simulation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from operator import itemgetter

from flask_whop.grammar import counted
from flask_whop.testing.schedule import RETRY_DELAYS
from flask_whop.testing.scripts import ScriptedReceiver

_MOST_LISTED = 3


class Kind(str, Enum):
    """Why a delivery was sent."""

    FIRST = "first"
    RETRY = "retry"
    DUPLICATE = "duplicate"


class Fate(str, Enum):
    """What became of an event."""

    ARRIVED = "arrived"
    """A delivery of it was answered 2xx in time."""
    PENDING = "pending"
    """Whop would have sent it again after the simulation ended."""
    GIVEN_UP = "given up"
    """All of Whop's retries failed."""
    DROPPED = "dropped"
    """The webhook was disabled between two of its retries."""
    NEVER_SENT = "never sent"
    """The webhook was disabled before it was sent at all."""


_LOST = (Fate.GIVEN_UP, Fate.DROPPED, Fate.NEVER_SENT)


@dataclass(frozen=True)
class Attempt:
    """One delivery and its answer. Times count from the start of the simulation."""

    at: timedelta
    kind: Kind
    status_code: int
    status: str | None
    """The ``status`` of the JSON answer."""
    ok: bool
    """Whether Whop considers it delivered."""


@dataclass(frozen=True)
class EventStory:
    """What became of one event."""

    id: str
    type: str
    happened_at: timedelta
    attempts: tuple[Attempt, ...]
    fate: Fate

    @property
    def arrived_at(self) -> timedelta | None:
        """When it was first answered 2xx in time; None if it never was."""
        return next((attempt.at for attempt in self.attempts if attempt.ok), None)

    @property
    def retries(self) -> int:
        """How many of its retries were sent."""
        return sum(attempt.kind is Kind.RETRY for attempt in self.attempts)


@dataclass(frozen=True)
class SimulationReport:
    """The result of a simulation; ``str()`` makes it readable.

    Times count from the start of the simulation.
    """

    lasted: timedelta
    events: tuple[EventStory, ...]
    """All events, in the order in which they happened at Whop."""
    receivers: tuple[ScriptedReceiver, ...]
    warned_at: timedelta | None
    """When Whop sent its first warning mail: after 24 hours of failures."""
    disabled_at: timedelta | None
    """When Whop disabled the webhook: after 72 hours and at least 10 failures."""

    @property
    def arrived(self) -> tuple[EventStory, ...]:
        """The events that arrived, in the order of arrival."""
        arrived = [(event.arrived_at, event) for event in self.events if event.arrived_at is not None]
        return tuple(event for _, event in sorted(arrived, key=itemgetter(0)))

    @property
    def lost(self) -> tuple[EventStory, ...]:
        """The events that never arrived, and that Whop won't send again."""
        return self.which(*_LOST)

    @property
    def retries(self) -> int:
        """How many retries were sent in all."""
        return sum(event.retries for event in self.events)

    def which(self, *fates: Fate) -> tuple[EventStory, ...]:
        """Return the events with one of these fates."""
        return tuple(event for event in self.events if event.fate in fates)

    def __str__(self) -> str:
        """Say what arrived, what was lost, and what Whop did with the webhook."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        attempts = [attempt for event in self.events for attempt in event.attempts]
        doubles = sum(attempt.kind is Kind.DUPLICATE for attempt in attempts)
        yield (
            f"{spelled(self.lasted)} simulated: {_count(self.events, 'event')}, {_count(attempts, 'delivery')},"
            f" {self.retries} of them {'a retry' if self.retries == 1 else 'retries'}"
            f" and {counted(doubles, 'duplicate')}"
        )
        yield _row("arrived", f"{len(self.arrived)}{self._latest()}")
        for fate in (Fate.PENDING, *_LOST):
            if events := self.which(fate):
                yield _row(fate.value, f"{len(events)}: {_ids(events)}")
        yield _row("webhook", self._webhook())
        for receiver in self.receivers:
            doubled = f", {_count(receiver.doubled, 'event')} twice or more" if receiver.doubled else ""
            counts = f"{_count(receiver.effects, 'effect')}{doubled}, {_count(receiver.failures, 'failure')}"
            yield _row("receiver", f"{receiver.name}: {counts}")

    def _latest(self) -> str:
        delays = [
            ((event.arrived_at or event.happened_at) - event.happened_at, event.retries) for event in self.arrived
        ]
        if not delays or max(delays)[1] == 0:
            return ""
        delay, retries = max(delays)
        return f", the slowest after {spelled(delay)} and {retries} of {len(RETRY_DELAYS)} retries"

    def _webhook(self) -> str:
        events = [
            f"{word} after {spelled(at)}"
            for word, at in (("warned of", self.warned_at), ("disabled", self.disabled_at))
            if at is not None
        ]
        return ", ".join(events) or "never warned of"


def spelled(time: timedelta) -> str:
    """Write a length of time in its two largest units: ``34 h 40 min``."""
    minutes, rest = divmod(round(time.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    if minutes:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{rest} s"


def _count(things: Sequence[object], noun: str) -> str:
    return counted(len(things), noun)


def _row(title: str, text: str) -> str:
    return f"  {title:<11} {text}"


def _ids(events: tuple[EventStory, ...]) -> str:
    named = [f"{event.id} ({event.type})" for event in events[:_MOST_LISTED]]
    return ", ".join([*named, *(["…"] if len(events) > _MOST_LISTED else [])])
