"""When what is ours is tried again, and when no more."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

DAY: Final = 86_400.0
_JITTER: Final = 0.2


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Waits twice as long after each failure, spread a little, up to a limit and until a deadline.

    All times are in seconds. The spread keeps what has failed together from coming back
    together.
    """

    first: float = 10.0
    """The wait after the first failure."""
    longest: float = 3600.0
    """The longest wait."""
    until: float = DAY
    """How long after its first call a receiver is called again."""

    def next_due(self, failures: int, since: float, now: float, wish: float | None = None) -> float | None:
        """When to try again after this many failures, in unix seconds; None for never again.

        ``since`` is when it was tried first, in unix seconds; ``wish`` is the wait that the receiver asked for.
        """
        # The exponent is bounded so that a delivery with thousands of failures does not overflow.
        wait = min(self.longest, self.first * 2 ** min(failures - 1, 60)) if wish is None else max(1.0, wish)
        if wish is None:
            wait *= 1 + random.uniform(-_JITTER, _JITTER)  # noqa: S311  # nobody gains from guessing it
        deadline = since + self.until
        # The last try is at the deadline itself, however long the wait before it would be.
        return min(now + wait, deadline) if now < deadline else None
