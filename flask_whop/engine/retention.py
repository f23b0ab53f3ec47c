"""How far back an app's deliveries are known, and what is forgotten when."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from flask_whop.engine.activity import HOUR
from flask_whop.engine.retries import DAY

if TYPE_CHECKING:
    from flask_whop.config import Settings
    from flask_whop.stores import Store

_BEGAN = "began"
_PRUNED = "pruned"
_DROPPED = "bodies dropped"
_SWEPT = "bodies swept"


class Retention:
    """What the store remembers of the deliveries of one endpoint."""

    def __init__(self, store: Callable[[], Store], settings: Settings) -> None:
        self._store = store
        self._endpoint = settings.endpoint
        self._keep_payloads_for = None if settings.keep_payload_days is None else settings.keep_payload_days * DAY

    def remembers_since(self) -> float:
        """Return since when every delivery that arrived is known here, in unix seconds; the first call notes it.

        That's since that first call, or as far as :meth:`prune` left them. Raises
        :class:`~flask_whop.errors.StoreUnavailable`.
        """
        store = self._store()
        began, pruned = (store.note(self._endpoint, name) for name in (_BEGAN, _PRUNED))
        if began is None:
            began = float(int(store.clock()))  # Whop's times are cut, too
            store.put_note(self._endpoint, _BEGAN, began)
        return began if pruned is None else max(began, pruned)

    def prune(self, before: float, *, most: int | None = None) -> int:
        """Delete deliveries that haven't changed since ``before`` and aren't running or due; return how many.

        For ``most`` see :meth:`Store.prune <flask_whop.stores.Store.prune>`. Raises
        :class:`~flask_whop.errors.StoreUnavailable`.
        """
        store = self._store()
        store.put_note(self._endpoint, _PRUNED, before)  # first: what is deleted must not look new
        self._drop_bodies(store)
        store.drop_tallies(self._endpoint, int(before // HOUR))
        return store.prune(self._endpoint, before, most=most)

    def _drop_bodies(self, store: Store) -> None:
        """Forget the bodies that are past their days; those before the last time are gone already."""
        if self._keep_payloads_for is None:
            return
        now = store.clock()
        before, swept = now - self._keep_payloads_for, store.note(self._endpoint, _SWEPT)
        if swept is None or now - swept >= DAY:
            # What was replayed is done long after it arrived, so all of it is looked at once a day.
            after = 0.0
            store.put_note(self._endpoint, _SWEPT, now)
        else:
            after = store.note(self._endpoint, _DROPPED) or 0.0
        while store.drop_bodies(self._endpoint, after, before):
            pass
        store.put_note(self._endpoint, _DROPPED, before)
