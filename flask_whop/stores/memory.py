"""A store in the memory of the process: it forgets when the process ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from flask_whop.stores.protocol import Claim

DAY = 86_400.0
_NOBODY: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Entry:
    claimed_at: float
    running: bool = True
    done: frozenset[str] = _NOBODY


class MemoryStore:
    """Remembers up to ``max_deliveries``, each for ``max_age`` seconds after its last claim.

    Whop retries for about 71 hours (its webhooks guide), so that an age under four days
    would forget too early. Beyond the number, the oldest go first, except those that
    are being processed.
    """

    def __init__(
        self,
        *,
        max_deliveries: int = 50_000,
        max_age: float = 4 * DAY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_deliveries = max_deliveries
        self._max_age = max_age
        self._clock = clock
        self._lock = Lock()
        # In the order of the last claim, the oldest first.
        self._entries: dict[tuple[str, str], _Entry] = {}

    def claim(self, endpoint: str, delivery_id: str) -> Claim:
        """Take the delivery for processing, unless it is being processed."""
        key = (endpoint, delivery_id)
        with self._lock:
            now = self._clock()
            entry = self._entries.get(key)
            if entry is not None and entry.running:
                return Claim(granted=False, repeated=True, done=entry.done)
            self._forget(now)
            known = self._entries.pop(key, None)
            done = known.done if known else _NOBODY
            self._entries[key] = _Entry(now, running=True, done=done)
            return Claim(granted=True, repeated=known is not None, done=done)

    def record(self, endpoint: str, delivery_id: str, receiver: str) -> None:
        """Note that ``receiver`` is done with a claimed delivery."""
        with self._lock:
            entry = self._entries[endpoint, delivery_id]
            entry.done |= {receiver}

    def release(self, endpoint: str, delivery_id: str) -> None:
        """Give a claimed delivery back."""
        with self._lock:
            self._entries[endpoint, delivery_id].running = False

    def _forget(self, now: float) -> None:
        """Drop what is too old, and the oldest of what is too much."""
        oldest = next(iter(self._entries.values()), None)
        surplus = len(self._entries) - self._max_deliveries + 1
        if oldest is None or (surplus <= 0 and now - oldest.claimed_at <= self._max_age):
            return
        dropped: list[tuple[str, str]] = []
        for key, entry in self._entries.items():
            if entry.running:
                continue
            if len(dropped) >= surplus and now - entry.claimed_at <= self._max_age:
                break
            dropped.append(key)
        for key in dropped:
            del self._entries[key]
