"""Receivers that fail as scripted."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeAlias

from flask import Flask

from flask_whop.errors import ScriptedFailure
from flask_whop.events import AnyEvent
from flask_whop.grammar import counted
from flask_whop.logs import log
from flask_whop.testing.clock import FakeClock

Script: TypeAlias = Callable[[AnyEvent, timedelta], bool]
"""Says whether a receiver fails with an event, so long after the start."""


class ScriptedReceiver:
    """A receiver that fails as its script says, and otherwise takes effect; both are recorded.

    ``WhopSimulator.receiver`` makes one.
    """

    def __init__(
        self,
        name: str,
        clock: FakeClock,
        *,
        fails: Script,
        takes: timedelta = timedelta(0),
        error: type[Exception] = ScriptedFailure,
    ) -> None:
        self.name = name
        self.effects: list[str] = []
        """The ids of the events it succeeded with, in order; an id that is in it twice took effect twice."""
        self.failures: list[str] = []
        """The ids of the events it failed with, in order."""
        self._clock = clock
        self._began = clock()
        self._fails = fails
        self._takes = takes
        self._error = error

    @property
    def doubled(self) -> tuple[str, ...]:
        """The events that took effect more than once."""
        return tuple(event_id for event_id, times in Counter(self.effects).items() if times > 1)

    def __call__(self, _app: Flask, /, *, event: AnyEvent) -> None:
        """Fail, or take effect."""
        self._clock.advance(self._takes)
        if self._fails(event, timedelta(seconds=self._clock() - self._began)):
            self.failures.append(event.id)
            raise self._error(f"{self.name} fails with {event.type} {event.id}, as scripted.")
        self.effects.append(event.id)

    def __repr__(self) -> str:
        """Show how often it took effect, and failed."""
        effects, failures = counted(len(self.effects), "effect"), counted(len(self.failures), "failure")
        return f"<ScriptedReceiver {self.name}: {effects}, {failures}>"


def failing(period: timedelta, times: int) -> Script:
    """Make a script that fails for ``period`` from the start, and the first ``times`` times with each event."""
    calls: Counter[str] = Counter()

    def fails(event: AnyEvent, passed: timedelta) -> bool:
        calls[event.id] += 1
        return passed < period or calls[event.id] <= times

    return fails


@contextmanager
def without_tracebacks() -> Iterator[None]:
    """Log scripted failures without their many useless tracebacks."""
    log.addFilter(_strip)
    try:
        yield
    finally:
        log.removeFilter(_strip)


def _strip(record: logging.LogRecord) -> bool:
    if record.exc_info and isinstance(record.exc_info[1], ScriptedFailure):
        record.exc_info = record.exc_text = None
    return True
