"""When we retry a delivery, and when we stop: then its receipt becomes a dead letter (see :mod:`.recording`)."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

DAY: Final = 86_400.0
_JITTER: Final = 0.2


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Doubles the wait after each failure, up to a limit and until a deadline.

    All times are in seconds. A random spread keeps deliveries that failed together from
    being retried together.
    """

    first: float
    """The wait after the first failure."""
    longest: float
    """The longest wait."""
    until: float
    """How long after its first call a receiver is retried."""

    def next_due(self, failures: int, since: float, now: float, wish: float | None = None) -> float | None:
        """Return when to retry after so many failures, in unix seconds; None for never.

        ``since`` is when it was first tried, in unix seconds; ``wish`` is the wait that
        the receiver asked for.
        """
        if wish is None:
            # The exponent is bounded, or a delivery with thousands of failures would overflow.
            wait = min(self.longest, self.first * 2 ** min(failures - 1, 60))
            wait *= 1 + random.uniform(-_JITTER, _JITTER)  # noqa: S311  # nobody gains from guessing it
        else:
            wait = max(1.0, wish)
        deadline = since + self.until
        # The last try is at the deadline itself, however long the wait.
        return min(now + wait, deadline) if now < deadline else None
