"""How a filter becomes searches, each of which has an index."""

from __future__ import annotations

from collections.abc import Sequence

from flask_whop.names import storable
from flask_whop.stores.records import UNFINISHED, Filter, ReceiptState, State
from flask_whop.stores.schema import BY_STATE, BY_TYPE, GIVEN_UP
from flask_whop.stores.statements_lookups import MOST_UNORDERED, Search

_UNFINISHED = (ReceiptState.FAILED, ReceiptState.DEAD, ReceiptState.STARTED)
"""The receipts that deliveries have which aren't done."""
_AFTER_ALL = "\x7f"
"""What comes after every letter of an id, which is ASCII."""


class Searches:
    """The searches that together find what is wanted, and their values.

    ``types`` are the event types; None means all. Each search uses an index: that of the key,
    the account and the resource for a text; that of the resource; that of what receivers gave
    up; that of the state if only unfinished deliveries are wanted; otherwise that of the
    account, the type, or the state. The other conditions filter its rows.
    """

    def __init__(self, wanted: Filter, types: Sequence[str] | None, *, has_small_indexes: bool = True) -> None:
        self.values: dict[str, object] = {}
        """Those of all parameters in the conditions."""
        self._wanted = wanted
        self._has_small_indexes = has_small_indexes
        self._types = [self._named(f"type_{number}", name) for number, name in enumerate(types or ())]
        self._receipt = self._of_a_receipt()
        self._place = _all(
            self._compared("received_at >=", "since", wanted.since),
            self._compared("received_at <", "until", wanted.until),
            self._beyond("before", "<", wanted.before),
            self._beyond("down_to", ">", wanted.down_to),
        )
        states = ", ".join(f"'{state.value}'" for state in wanted.states)
        self._filters = {
            "type": f"event_type IN ({', '.join(self._types)})" if self._types else "",
            "state": f"state IN ({states})" if states else "",
            "account": self._compared("account_id =", "account_id", wanted.account_id),
            "resource": self._compared("resource =", "resource", wanted.resource),
        }

    def all(self) -> list[Search]:
        """Return them, for a filter without a text."""
        wanted = self._wanted
        if wanted.resource is not None:
            return self._by("resource", [f"resource IS NOT NULL AND {self._filters['resource']}"])
        if wanted.receipt_state is ReceiptState.GIVEN_UP and self._has_small_indexes and not wanted.is_complete:
            return [self._given_up()]
        if wanted.receipt_state in _UNFINISHED and not wanted.states:
            return self._by("state", [f"{BY_STATE} AND state = '{state.value}'" for state in UNFINISHED])
        if wanted.account_id is not None and (not wanted.states or State.DONE in wanted.states):
            return self._by("account", [self._filters["account"]])
        if self._types and (not wanted.states or State.DONE in wanted.states):
            return self._by("type", [f"{BY_TYPE} AND event_type = {name}" for name in self._types])
        return self._by("state", [f"{BY_STATE} AND state = '{state.value}'" for state in wanted.states or State])

    def of_text(self, text: str, families: Sequence[str], accounts: Sequence[str], by_bytes: str) -> list[Search]:
        """Return them, for a filter with a text.

        ``families`` are those of all types, ``accounts`` those that begin with the text, and
        ``by_bytes`` is :attr:`LookupStatements.by_bytes`.
        """
        named = [f"account_id = {self._named(f'account_{number}', name)}" for number, name in enumerate(accounts)]
        indexed = [self._begins(f"id{by_bytes}", "text", text)] + [
            f"resource IS NOT NULL AND {self._begins(f'resource{by_bytes}', f'resource_{number}', begins)}"
            for number, begins in enumerate([text, *(f"{family}:{text}" for family in families)])
        ]
        filters = _all(*self._filters.values(), self._receipt)
        return [
            *(Search(_all(condition, self._place), filters) for condition in named),
            *(Search(condition, _all(self._place, filters), in_order=False) for condition in indexed),
        ]

    def _by(self, what: str, indexed: Sequence[str]) -> list[Search]:
        others = _all(*(condition for name, condition in self._filters.items() if name != what), self._receipt)
        return [Search(_all(condition, self._place), others) for condition in indexed]

    def _given_up(self) -> Search:
        """The deliveries on which receivers gave up lately."""
        name = self._wanted.receiver and storable(self._wanted.receiver)
        receiver = self._compared("receiver =", "given_up_by", name)
        found = f"SELECT delivery_id FROM {{receipts}} WHERE {_all('endpoint = :endpoint', GIVEN_UP, receiver)}"
        ids = f"id IN ({found} ORDER BY last_at DESC LIMIT {MOST_UNORDERED})"
        filters = _all(self._place, *self._filters.values(), self._receipt)
        # As an expression, the endpoint can't be used to choose the rows, so the ids do.
        return Search(ids, filters, in_order=False, endpoint="endpoint || '' = :endpoint")

    def _named(self, name: str, value: object) -> str:
        self.values[name] = value
        return f":{name}"

    def _compared(self, how: str, name: str, value: object) -> str:
        return "" if value is None else f"{how} {self._named(name, value)}"

    def _beyond(self, name: str, how: str, place: tuple[float, str] | None) -> str:
        if place is None:
            return ""
        at, last = self._named(f"{name}_at", place[0]), self._named(f"{name}_id", place[1])
        or_there = "" if how == "<" else "="
        return f"received_at {how}= {at} AND (received_at {how} {at} OR id {how}{or_there} {last})"

    def _begins(self, column: str, name: str, text: str) -> str:
        first = self._named(name, storable(text))
        return f"{column} >= {first} AND {column} < {self._named(f'{name}_end', storable(text) + _AFTER_ALL)}"

    def _of_a_receipt(self) -> str:
        receiver, state = self._wanted.receiver, self._wanted.receipt_state
        if receiver is None and state is None:
            return ""
        conditions = _all(
            "receipt.endpoint = {deliveries}.endpoint AND receipt.delivery_id = {deliveries}.id",
            self._compared("receipt.receiver =", "receiver", receiver and storable(receiver)),
            self._compared("receipt.state =", "receipt_state", state and state.value),
        )
        # The limits keep PostgreSQL from joining the tables: each row looks its receipts up by their key.
        return f"EXISTS (SELECT 1 FROM {{receipts}} AS receipt WHERE {conditions} LIMIT 1 OFFSET 0)"


def _all(*conditions: str) -> str:
    return " AND ".join(filter(None, conditions))
