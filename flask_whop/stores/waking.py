"""How a worker that sleeps hears at once that something has been accepted; it also looks by itself, now and then."""

from __future__ import annotations

import hashlib
import math
import time
from contextlib import suppress
from typing import Any, Final, Protocol

from flask_whop.logs import log

_TRIAL_SECONDS: Final = 2.0
_AGAIN_AFTER: Final = 5.0


class Waker(Protocol):
    """Waits for something to be accepted; used by one thread."""

    def wait(self, seconds: float) -> bool:
        """Wait for up to so many seconds; whether something may have been accepted meanwhile."""
        ...

    def close(self) -> None:
        """Close what it has opened."""
        ...


class Sleeper:
    """Hears nothing, and waits."""

    def wait(self, seconds: float) -> bool:
        """Wait."""
        time.sleep(seconds)
        return False

    def close(self) -> None:
        """Do nothing."""


def channel_of(table: str, endpoint: str) -> str:
    """The channel of PostgreSQL on which what is accepted is told of."""
    return f"whop_{hashlib.sha256(f'{table} {endpoint}'.encode()).hexdigest()[:24]}"


class ListeningWaker:
    """Listens to a channel of PostgreSQL, by a connection of psycopg's that is its own and commits by itself."""

    def __init__(self, connect: Any, channel: str) -> None:
        self._connect = connect
        self._channel = channel
        self._connection: Any = None
        self._again_at = 0.0
        self._listen()

    def _listen(self) -> None:
        """Listen, and look whether a message comes through: some poolers take them, and pass none on."""
        self._again_at = time.monotonic() + _AGAIN_AFTER
        try:
            self._connection = self._connect()
            self._connection.execute(f'LISTEN "{self._channel}"')
            other = self._connect()
            try:
                other.execute(f'NOTIFY "{self._channel}"')
            finally:
                other.close()
            if not self._hear(_TRIAL_SECONDS):
                log.warning(
                    "PostgreSQL's notifications do not reach this worker; what is accepted waits up to a second. A"
                    " pooler in between may swallow them: connect the worker to PostgreSQL itself."
                )
                self._again_at = math.inf
                self.close()
        except Exception as error:  # noqa: BLE001  # whatever it is: the worker looks by itself as well
            log.debug("The worker cannot listen to PostgreSQL: %s", type(error).__name__)
            self.close()

    def wait(self, seconds: float) -> bool:
        """Wait for a message; where none can come, just wait, and listen again after a while."""
        if self._connection is None and time.monotonic() > self._again_at:
            self._listen()
            return True  # what came while nobody listened
        if self._connection is not None:
            try:
                return self._hear(seconds)
            except Exception as error:  # noqa: BLE001  # likewise
                log.debug("The worker hears PostgreSQL no more: %s", type(error).__name__)
                self.close()
        time.sleep(seconds)
        return False

    def _hear(self, seconds: float) -> bool:
        return any(True for _ in self._connection.notifies(timeout=seconds, stop_after=1))

    def close(self) -> None:
        """Close its connection."""
        with suppress(Exception):
            if self._connection is not None:
                self._connection.close()
        self._connection = None
