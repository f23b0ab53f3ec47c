"""How fast Whop's API may be called, and how long to wait before a call is repeated."""

from __future__ import annotations

import random
import re
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pydantic import JsonValue

MOST_A_MINUTE: Final = 500
"""Whop allows 600 calls of an operation a minute for one key; others may use the key too."""

_MINUTE: Final = 60.0
_MARGIN: Final = 1.0
_LONGEST: Final = 120.0
_IN_SECONDS: Final = re.compile(r"try again in (\d{1,6}) ?s", re.IGNORECASE)
_EPOCH: Final = 1_000_000_000.0


class Pace:
    """Waits before a call for which the operation has had too many within the last minute."""

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._calls: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=MOST_A_MINUTE))

    def wait_for(self, operation: str) -> None:
        """Wait until the operation may be called, and count the call."""
        calls = self._calls[operation]
        if len(calls) == MOST_A_MINUTE and (wait := calls[0] + _MINUTE + _MARGIN - self._clock()) > 0:
            self._sleep(wait)
        calls.append(self._clock())

    def sleep(self, seconds: float) -> None:
        """Wait before a call is repeated."""
        self._sleep(seconds)


def wait_after(tried: int, headers: Mapping[str, str], body: JsonValue) -> float:
    """Return how long to wait after some tries: as long as Whop asks for, within bounds, or longer each time."""
    asked = _asked_for(headers, body)
    if asked is not None:
        return min(asked + _MARGIN, _LONGEST)
    # Out of step with others that wait.
    return min(_LONGEST, 0.5 * 2.0**tried) * random.uniform(0.75, 1.25)  # noqa: S311  # guessing it gains nothing


def _asked_for(headers: Mapping[str, str], body: JsonValue) -> float | None:
    for name in ("retry-after", "x-ratelimit-reset"):
        value = headers.get(name, "").strip()
        if re.fullmatch(r"\d{1,11}(\.\d+)?", value):
            seconds = float(value)
            return max(0.0, seconds - time.time()) if seconds > _EPOCH else seconds
    match = _IN_SECONDS.search(message_in(body))
    return float(match[1]) if match else None


def message_in(body: JsonValue) -> str:
    """Return the message of an error's body; empty if it has none."""
    error = body.get("error") if isinstance(body, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) else ""
