"""Which of the shop's customers the events of a test are about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable


class Customers:
    """Gives each event a customer, whose ids depend on the key that is returned.

    The first events of all types are about one customer, so a refund is one of the
    payment that was delivered before; the second event of a type is about the second
    customer, and so on. The first one is that of :func:`~flask_whop.testing.sample`.
    """

    def __init__(self) -> None:
        self._served: Counter[str] = Counter()
        self._keys: dict[str, str] = {}

    def of(self, event_type: str, event_id: str) -> str:
        """Return the key of the customer of an event; equal ids are the same event."""
        if event_id not in self._keys:
            self._keys[event_id] = self.next([event_type])
        return self._keys[event_id]

    def next(self, event_types: Iterable[str]) -> str:
        """Return the key of the first customer who has had no event of these types."""
        types = {*event_types}
        number = max(self._served[event_type] for event_type in types)
        self._served.update({event_type: number + 1 - self._served[event_type] for event_type in types})
        return str(number + 1) if number else ""
