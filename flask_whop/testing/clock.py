"""A clock that stands still until you move it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from typing import TypeAlias

from flask import Flask

from flask_whop.engine.installation import Installation
from flask_whop.signature import Verifier
from flask_whop.stores import Store

Duration: TypeAlias = float | timedelta
"""A length of time, in seconds or as a ``timedelta``."""


class FakeClock:
    """Gives the unix time, as ``time.time`` does, and only moves when you move it.

    It starts at ``start``, by default now, at a whole second. A ``datetime`` without a
    time zone is taken as UTC.
    """

    def __init__(self, start: datetime | float | None = None) -> None:
        self._time = float(int(time.time())) if start is None else _unix(start)
        self._stand_ins: dict[int, tuple[Store, Callable[[], float]]] = {}

    def __call__(self) -> float:
        """The unix time."""
        return self._time

    def now(self) -> datetime:
        """The time, in UTC."""
        return datetime.fromtimestamp(self._time, tz=timezone.utc)

    def advance(self, by: Duration) -> None:
        """Move the clock forward.

        Raises :class:`ValueError` if ``by`` is negative; :meth:`set_to` goes back.
        """
        if seconds(by) < 0:
            raise ValueError(f"Time only moves forward, and {by!r} is negative; set_to() sets the clock back.")
        self._time += seconds(by)

    def set_to(self, when: datetime | float) -> None:
        """Set the clock forward or back to ``when``."""
        self._time = _unix(when)

    @contextmanager
    def installed_in(self, app: Flask) -> Iterator[FakeClock]:
        """Let the verifier and the store of ``app`` use this clock while the block runs.

        Raises :class:`~flask_whop.errors.SetupError` if flask_whop isn't set up for ``app``.
        """
        installation = Installation.of(app)
        installation.engine.leave_default_file()
        with ExitStack() as restored:
            self._install(installation.verifier, self, restored)
            store = installation.store
            self._install(store, self._stand_in_for(store), restored)
            yield self

    def __repr__(self) -> str:
        """Show the time."""
        return f"<FakeClock {self.now().isoformat()}>"

    def _install(self, part: Verifier | Store, clock: Callable[[], float], restored: ExitStack) -> None:
        restored.callback(setattr, part, "clock", part.clock)
        part.clock = clock

    def _stand_in_for(self, part: Store) -> Callable[[], float]:
        """A clock that moves with this one, but starts at the time of ``part``, whose clock may be set differently."""
        if part.clock is self or part.clock is time.time:
            return self
        if id(part) not in self._stand_ins:
            begun, here = part.clock(), self._time
            self._stand_ins[id(part)] = (part, lambda: begun + self._time - here)
        return self._stand_ins[id(part)][1]


def seconds(duration: Duration) -> float:
    """Return ``duration`` in seconds."""
    return duration.total_seconds() if isinstance(duration, timedelta) else float(duration)


def _unix(when: datetime | float) -> float:
    if not isinstance(when, datetime):
        return float(when)
    return (when if when.tzinfo else when.replace(tzinfo=timezone.utc)).timestamp()
