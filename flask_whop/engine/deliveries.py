"""What operators do with deliveries: find, look at, replay, prune and erase them."""

from __future__ import annotations

import json
import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from flask_whop.config import MIN_KEEP_DAYS
from flask_whop.engine.activity import HAPPENING, HOUR, Activity, activity_in
from flask_whop.engine.outcomes import Outcome
from flask_whop.engine.retries import DAY
from flask_whop.errors import ConfigError
from flask_whop.events import parse_event
from flask_whop.stores import FINISHED, Filter, Key, Receipt, ReceiptState, State, Stats, Stored

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


@dataclass(frozen=True)
class Preview:
    """What a replay of a delivery would do for one receiver."""

    receiver: str
    """Its name."""
    receipt: Receipt | None
    """What it did so far; None if it hasn't been called."""
    is_connected: bool
    """Whether this app has it now; if not, no replay calls it."""

    @property
    def is_called(self) -> bool:
        """Whether a replay calls it without being forced."""
        return self.is_connected and (self.receipt is None or self.receipt.state not in FINISHED)


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
        within: int | None = None,
    ) -> Page:
        """Return up to ``limit`` deliveries, the latest first.

        ``event_type`` is a name, or a pattern such as ``payment.*``; ``text`` is how the id of
        a delivery, an account or a resource begins: if that's how a thousand begin, or ten
        accounts, some of them are looked at. ``receiver`` has a receipt, in ``receipt_state`` if that is given.
        They arrived between ``since`` and ``until``. ``cursor`` is that of the page before.

        Each of these alone has an index. A mix of them is looked for among the deliveries that
        meet one, which may be many: with ``within``, among about as many and no more, so a page
        may be short, or empty, and have a cursor all the same; and of what receivers gave up on,
        the last thousand are enough.

        Raises :class:`~flask_whop.errors.ConfigError` for a cursor that isn't one.
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
        store, endpoint = self._engine.store, self._engine.endpoint
        wanted = wanted._replace(is_complete=within is None)
        edge = None if within is None else store.edge(endpoint, wanted, within)
        found = store.find(endpoint, wanted._replace(down_to=edge), limit + 1)
        page = found[:limit]
        if len(found) > limit:
            edge = page[-1].received_at, page[-1].key.id
        return Page(page, None if edge is None else _cursor(*edge))

    def troubles(self, deliveries: Collection[Stored]) -> Mapping[str, Receipt]:
        """Say who has trouble with some deliveries: by their ids, the receipt of a receiver that isn't done with it."""
        receipts = self._engine.store.troubles([delivery.key for delivery in deliveries])
        return {key.id: receipt for key, receipt in receipts.items()}

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

    def preview(self, details: Details) -> Sequence[Preview]:
        """Say for each receiver of a delivery what a replay would do: those connected here, then those of receipts."""
        event = details.event
        receipts = {receipt.receiver: receipt for receipt in details.receipts}
        previews = []
        for call in [] if event is None else self._engine.calls_for(event):
            known = next((name for name in call.names if name in receipts), None)
            previews.append(Preview(call.name, None if known is None else receipts.pop(known), is_connected=True))
        return [*previews, *(Preview(name, receipt, is_connected=False) for name, receipt in receipts.items())]

    def activity(self, hours: int = 24) -> Activity:
        """Say what happened in the last ``hours``, this one included.

        It's counted while the app has an inbox (:class:`flask_whop.inbox.WhopInbox`), in every
        process, and read a few seconds later.
        """
        store, endpoint = self._engine.store, self._engine.endpoint
        now = store.clock()
        tallies = store.tallies(endpoint, int(now // HOUR) - hours + 1, HAPPENING)
        return activity_in(tallies, now, hours)

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


def _cursor(received_at: float, delivery_id: str) -> str:
    place = json.dumps([received_at, delivery_id])
    return urlsafe_b64encode(place.encode()).decode().rstrip("=")


def _place(cursor: str) -> tuple[float, str]:
    try:
        received_at, delivery_id = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        place = float(received_at), str(delivery_id)
    except (ValueError, TypeError, OverflowError, RecursionError):
        place = math.nan, ""
    # What a database can't store, it would refuse as if it were broken.
    if not math.isfinite(place[0]) or not place[1].isprintable():
        raise ConfigError("This cursor isn't one that find() has returned.")
    return place
