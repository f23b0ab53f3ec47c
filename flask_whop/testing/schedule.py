"""When Whop retries, and what it does about a webhook that keeps failing (source: its webhooks guide)."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

RETRY_DELAYS: Final[tuple[timedelta, ...]] = (
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=8),
    timedelta(minutes=30),
    timedelta(hours=1),
    timedelta(hours=3),
    timedelta(hours=6),
    *5 * (timedelta(hours=12),),
)
"""How long Whop waits before each of its 12 retries: about 71 hours in all."""

ANSWER_LIMIT: Final = timedelta(seconds=5)
"""An answer that takes longer counts as a failure."""
WARNED_AFTER: Final = timedelta(hours=24)
DISABLED_AFTER: Final = timedelta(hours=72)
FAILURES_BEFORE_DISABLED: Final = 10


class WebhookHealth:
    """Whop's view of a webhook, by the successes and failures of its deliveries.

    Where Whop's guide leaves room, this assumes the worse for the app: each failed
    attempt counts, and time passes whether or not anything is delivered.
    """

    def __init__(self) -> None:
        self.warned_at: float | None = None
        self.disabled_at: float | None = None
        self._failures: list[float] = []

    def succeed(self) -> None:
        """Note that a delivery succeeded, which ends a period of failures."""
        self._failures.clear()

    def fail(self, now: float) -> None:
        """Note that a delivery failed."""
        self._failures.append(now)
        self.look(now)

    def look(self, now: float) -> None:
        """Warn about the webhook, or disable it, if that was due by ``now``."""
        if not self._failures or self.disabled_at is not None:
            return
        warning = self._failures[0] + WARNED_AFTER.total_seconds()
        if self.warned_at is None and now >= warning:
            self.warned_at = warning
        if len(self._failures) >= FAILURES_BEFORE_DISABLED:
            end = max(self._failures[0] + DISABLED_AFTER.total_seconds(), self._failures[FAILURES_BEFORE_DISABLED - 1])
            self.disabled_at = end if now >= end else None
