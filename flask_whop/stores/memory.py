"""A store in the memory of the process: it forgets when the process ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from flask_whop.stores.protocol import Claim

DAY = 86_400.0

_Key = tuple[str, str]
_NOBODY: frozenset[str] = frozenset()
_FIRST = Claim(granted=True, repeated=False, done=_NOBODY)


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
        self.clock = clock
        self._lock = Lock()
        # When each delivery was claimed last, the oldest first. Three flat containers
        # instead of an object a delivery leave the garbage collector nothing to walk.
        self._claimed: dict[_Key, float] = {}
        self._running: set[_Key] = set()
        self._done: dict[_Key, frozenset[str]] = {}
        # Most deliveries are done by the same receivers: each such set is kept once.
        self._sets: dict[frozenset[str], frozenset[str]] = {}

    def claim(self, endpoint: str, delivery_id: str) -> Claim:
        """Take the delivery for processing, unless it is being processed."""
        key = (endpoint, delivery_id)
        with self._lock:
            if key in self._running:
                return Claim(granted=False, repeated=True, done=self._done.get(key, _NOBODY))
            now = self.clock()
            self._forget(now)
            known = self._claimed.pop(key, None) is not None
            self._claimed[key] = now
            self._running.add(key)
            return Claim(granted=True, repeated=True, done=self._done.get(key, _NOBODY)) if known else _FIRST

    def record(self, endpoint: str, delivery_id: str, receiver: str) -> None:
        """Note that ``receiver`` is done with a claimed delivery."""
        key = (endpoint, delivery_id)
        with self._lock:
            done = self._done.get(key, _NOBODY) | {receiver}
            self._done[key] = self._sets.setdefault(done, done)

    def release(self, endpoint: str, delivery_id: str) -> None:
        """Give a claimed delivery back."""
        with self._lock:
            self._running.discard((endpoint, delivery_id))

    def _forget(self, now: float) -> None:
        """Drop what is too old, and the oldest of what is too much."""
        surplus = len(self._claimed) - self._max_deliveries + 1
        forgotten: list[_Key] = []
        for key, claimed_at in self._claimed.items():
            if len(forgotten) >= surplus and now - claimed_at <= self._max_age:
                break
            if key not in self._running:
                forgotten.append(key)
        for key in forgotten:
            del self._claimed[key]
            self._done.pop(key, None)
