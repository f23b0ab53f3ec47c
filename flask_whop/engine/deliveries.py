"""What operators do with deliveries: find, look at, replay, prune and erase them."""

from __future__ import annotations

import json
import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from flask_whop.config import MIN_KEEP_DAYS
from flask_whop.engine.outcomes import Outcome
from flask_whop.engine.retries import DAY
from flask_whop.errors import ConfigError
from flask_whop.events import parse_event
from flask_whop.stores import Filter, Key, Receipt, ReceiptState, State, Stats, Stored

if TYPE_CHECKING:
    from flask_whop.engine.installation import Installation
    from flask_whop.events import AnyEvent

_ALL_AT_ONCE = 500


@dataclass(frozen=True)
class Page:
    """Some deliveries, the latest first."""

    deliveries: Sequence[Stored]
    """Without their bodies."""
    cursor: str | None
    """What :meth:`Deliveries.find` takes to go on; None at the end."""


@dataclass(frozen=True)
class Details:
    """One delivery, with what its receivers did."""

    delivery: Stored
    receipts: Sequence[Receipt] = field(repr=False)
    """In the order of their first calls."""
    body: bytes | None = field(repr=False)
    """What arrived; None if it's gone."""

    @property
    def event(self) -> AnyEvent | None:
        """The event that it carries; None without a body."""
        return None if self.body is None else parse_event(self.body, self.delivery.key.id)


class Deliveries:
    """The deliveries of one app: ``whop.deliveries``.

    Every method raises :class:`~flask_whop.errors.StoreUnavailable` if the store can't be
    reached.
    """

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._engine = installation.engine

    def find(  # noqa: PLR0913  # each narrows the search, by its name
        self,
        *,
        states: Collection[State] = (),
        event_type: str | None = None,
        account_id: str | None = None,
        resource: str | None = None,
        text: str | None = None,
        receiver: str | None = None,
        receipt_state: ReceiptState | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        """Return up to ``limit`` deliveries, the latest first.

        ``event_type`` is a name, or a pattern such as ``payment.*``; ``text`` is the whole
        id of a delivery, an account or a resource. ``receiver`` has a receipt, in
        ``receipt_state`` if that is given. They arrived between ``since`` and ``until``.
        ``cursor`` is that of the page before. Raises
        :class:`~flask_whop.errors.ConfigError` for a cursor that isn't one.
        """
        wanted = Filter(
            tuple(states),
            event_type,
            account_id,
            None if since is None else since.timestamp(),
            None if until is None else until.timestamp(),
            resource,
            text,
            receiver,
            receipt_state,
            None if cursor is None else _place(cursor),
        )
        limit = max(1, limit)
        found = self._engine.store.find(self._engine.endpoint, wanted, limit + 1)
        page = found[:limit]
        return Page(page, _cursor(page[-1]) if len(found) > limit else None)

    def every(self, **wanted: object) -> Iterator[Stored]:
        """Yield all deliveries that :meth:`find` finds, the latest first."""
        cursor: str | None = None
        while True:
            page = self.find(**wanted, limit=_ALL_AT_ONCE, cursor=cursor)  # type: ignore[arg-type]  # as find takes them
            yield from page.deliveries
            cursor = page.cursor
            if cursor is None:
                return

    def get(self, delivery_id: str) -> Details | None:
        """Return a delivery with its receipts and its body; None if there is none of this id."""
        stored = self._engine.store.get(self._key(delivery_id))
        if stored is None:
            return None
        return Details(stored, self._engine.store.receipts(stored.key), self._engine.bodies.opened(stored))

    def replay(self, delivery_id: str, receivers: Collection[str] = (), *, force: bool = False) -> Outcome | None:
        """Run a delivery again, here and now, for the receivers that haven't finished it; its retry is ours then.

        ``receivers`` names those to run, instead of all. ``force`` runs even those of them
        that have finished it, with the same ``idempotency_key`` as before. None if a worker
        took it over. Raises :class:`~flask_whop.errors.NotReplayable` if it's running now, if
        its payload is gone, or if a receiver that is named has finished it.
        """
        if force and not receivers:
            raise ConfigError("A forced replay names its receivers: all would run a second time.")
        return self._engine.replay(self._key(delivery_id), receivers, force=force)

    def drop(self, delivery: Stored, receiver: str) -> bool:
        """Stop waiting for a receiver that is gone for good; False if the delivery doesn't wait for it."""
        droppable = delivery.state is State.DUE or self._engine.store.replay(delivery.key)
        return droppable and self._engine.drop(delivery.key, receiver)

    def stats(self) -> Stats:
        """Count the unfinished ones by state, and those done in the last hour."""
        return self._engine.store.stats(self._engine.endpoint)

    def prune(self, days: float | None = None) -> int:
        """Delete those that haven't changed for ``days``, ``WHOP_KEEP_DAYS`` by default; return how many.

        What is running or due stays. Raises :class:`~flask_whop.errors.ConfigError` for fewer
        than 4 days.
        """
        keep = self._installation.settings.keep_days if days is None else days
        if not MIN_KEEP_DAYS <= keep < math.inf:
            raise ConfigError(
                f"Deliveries are kept for {MIN_KEEP_DAYS} days or more: Whop retries for about 3, and a retry mustn't"
                " look new."
            )
        return self._engine.retention.prune(self._engine.store.clock() - keep * DAY)

    def erase(
        self, *, delivery_ids: Collection[str] = (), account_id: str | None = None, resource: str | None = None
    ) -> int:
        """Forget the payloads of some deliveries, and what their receivers raised; return how many were erased.

        Those of these ids, of an account, or about a resource (``payment:pay_…``). Ids and
        receipts stay, so nothing runs a second time, and what was unfinished counts as done.
        Those that are running are left as they are, and not counted.
        """
        keys = [self._key(delivery_id) for delivery_id in delivery_ids]
        for wanted in ({"account_id": account_id}, {"resource": resource}):
            if any(wanted.values()):
                keys += [stored.key for stored in self.every(**wanted)]
        return self._engine.store.erase(list(dict.fromkeys(keys)))

    def _key(self, delivery_id: str) -> Key:
        return Key(self._engine.endpoint, delivery_id)


def _cursor(delivery: Stored) -> str:
    place = json.dumps([delivery.received_at, delivery.key.id])
    return urlsafe_b64encode(place.encode()).decode().rstrip("=")


def _place(cursor: str) -> tuple[float, str]:
    try:
        received_at, delivery_id = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return float(received_at), str(delivery_id)
    except (ValueError, TypeError):
        raise ConfigError("This cursor isn't one that find() has returned.") from None
