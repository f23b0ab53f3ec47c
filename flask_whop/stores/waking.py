"""Wakes a sleeping worker as soon as a delivery is accepted; the worker also looks from time to time."""

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
    """Waits for a delivery to be accepted; used by one thread."""

    def wait(self, seconds: float) -> bool:
        """Wait for up to ``seconds``; return whether a delivery may have been accepted meanwhile."""
        ...

    def close(self) -> None:
        """Close what it has opened."""
        ...


class Sleeper:
    """Only waits: no notification ever comes."""

    def wait(self, seconds: float) -> bool:
        """Wait."""
        time.sleep(seconds)
        return False

    def close(self) -> None:
        """Do nothing."""


def channel_of(table: str, endpoint: str) -> str:
    """Return the PostgreSQL channel that announces accepted deliveries."""
    return f"whop_{hashlib.sha256(f'{table} {endpoint}'.encode()).hexdigest()[:24]}"


class ListeningWaker:
    """Listens to a PostgreSQL channel, over its own psycopg connection in autocommit mode."""

    def __init__(self, connect: Any, channel: str) -> None:
        self._connect = connect
        self._channel = channel
        self._connection: Any = None
        self._again_at = 0.0
        self._listen()

    def _listen(self) -> None:
        """Listen, and check that a message comes through: some poolers accept them but pass none on."""
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
                    "PostgreSQL's notifications don't reach this worker, so deliveries may wait up to a second. A"
                    " pooler in between may swallow them: connect the worker to PostgreSQL itself."
                )
                self._again_at = math.inf
                self.close()
        except Exception as error:  # noqa: BLE001  # whatever it is, the worker also looks from time to time
            log.debug("The worker can't listen to PostgreSQL: %s", type(error).__name__)
            self.close()

    def wait(self, seconds: float) -> bool:
        """Wait for a message; if none can come, just wait, and listen again after a while."""
        if self._connection is None and time.monotonic() > self._again_at:
            self._listen()
            return True  # deliveries may have come while nobody listened
        if self._connection is not None:
            try:
                return self._hear(seconds)
            except Exception as error:  # noqa: BLE001  # likewise
                log.debug("The worker lost its connection to PostgreSQL's notifications: %s", type(error).__name__)
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
