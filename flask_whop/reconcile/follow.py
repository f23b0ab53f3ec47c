"""Follows Whop's delivery log as it grows, and gives each delivery once."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from flask_whop.api.client import WhopApi
    from flask_whop.api.records import LoggedAttempt

_OVERLAP: Final = 30.0
_DEEP_OVERLAP: Final = 900.0
_DEEP_EVERY: Final = 60.0
_MOST_REMEMBERED: Final = 50_000


class Follower:
    """Looks up what has come into a webhook's log; ``clock`` gives the unix time.

    A row is one attempt, and can appear late, below rows that were there before. So each
    look reads the last half minute again, and once a minute the last quarter of an hour.
    """

    def __init__(self, api: WhopApi, webhook_id: str, *, clock: Callable[[], float] = time.time) -> None:
        self._api = api
        self._webhook_id = webhook_id
        self._clock = clock
        self._newest: float | None = None
        """The time of the newest row, by Whop's clock; None until there is one."""
        self._deep_at = clock()
        self._known: OrderedDict[str, None] = OrderedDict()
        """The ids of attempts and deliveries, the latest last."""

    def begin(self, latest: int = 0) -> list[LoggedAttempt]:
        """Take note of what is there, which isn't new; return the ``latest`` deliveries, the earliest first."""
        there = self._read(_DEEP_OVERLAP, at_least=latest)
        return there[-latest:] if latest else []

    def look(self) -> list[LoggedAttempt]:
        """Return the deliveries that have appeared since the last look, the earliest first.

        Raises :class:`~flask_whop.errors.ApiError`; then the next look finds them.
        """
        deep = self._clock() - self._deep_at >= _DEEP_EVERY
        found = self._read(_DEEP_OVERLAP if deep else _OVERLAP)
        if deep:
            self._deep_at = self._clock()
        return found

    def _read(self, overlap: float, at_least: int = 0) -> list[LoggedAttempt]:
        """Read the log back to ``overlap`` seconds before its newest row, and return what wasn't known."""
        newest, read = self._newest, []
        deliveries: set[str] = set()
        for attempt in self._api.log(self._webhook_id):
            if attempt.sent_at is not None:
                if attempt.sent_at <= self._whops_now() + _OVERLAP:  # one from the future must not hide what comes
                    newest = attempt.sent_at if newest is None else max(newest, attempt.sent_at)
                base = newest if self._newest is None else self._newest
                if base is not None and attempt.sent_at < base - overlap and len(deliveries) >= at_least:
                    break
            read.append(attempt)
            deliveries.add(attempt.delivery_id or "")
        self._newest = newest  # only now: a look that was cut off is repeated as a whole
        return [attempt for attempt in reversed(read) if self._is_new(attempt)]

    def _whops_now(self) -> float:
        """The time by Whop's clock: this machine's may be off."""
        try:
            return parsedate_to_datetime(self._api.date or "").timestamp()
        except (TypeError, ValueError):
            return self._clock()

    def _is_new(self, attempt: LoggedAttempt) -> bool:
        """Whether neither this attempt nor another one of its delivery has been seen; both are from now on."""
        ids = [each for each in (attempt.id, attempt.delivery_id) if each is not None]
        new = attempt.delivery_id is not None and not any(each in self._known for each in ids)
        for each in ids:
            self._known[each] = None
            self._known.move_to_end(each)
        while len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)
        return new
