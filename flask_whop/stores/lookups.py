"""How a store in a database is read, by statements that others run."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from typing import Concatenate, ParamSpec, TypeVar

from flask_whop.names import storable
from flask_whop.stores.records import (
    DONE_WITHIN,
    UNFINISHED,
    Filter,
    Key,
    Mark,
    Receipt,
    State,
    Stats,
    Stored,
    Tally,
    is_like,
)
from flask_whop.stores.rows import (
    Connection,
    Row,
    Values,
    batches,
    named,
    number,
    receipt_of,
    stored_of,
    whole,
)
from flask_whop.stores.searches import Searches
from flask_whop.stores.statements import Statements
from flask_whop.stores.statements_lookups import Search

_MOST_TYPES = 1000
_MOST_ACCOUNTS = 10

StoreT = TypeVar("StoreT", bound="Lookups")
Asked = ParamSpec("Asked")
ResultT = TypeVar("ResultT")


def repeatable(
    method: Callable[Concatenate[StoreT, Asked], ResultT],
) -> Callable[Concatenate[StoreT, Asked], ResultT]:
    """Mark a store's method as safe to repeat, even if the first try reached the database after all."""

    @wraps(method)
    def call(self: StoreT, /, *args: Asked.args, **keywords: Asked.kwargs) -> ResultT:
        return self._persist(partial(method, self, *args, **keywords))

    return call


class Lookups(ABC):
    """What reads a store in any database; a subclass runs the statements.

    ``clock`` gives the unix time that leases use.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._keeps_bodies = True

    @property
    @abstractmethod
    def _statements(self) -> Statements:
        """The statements for this database."""

    @abstractmethod
    def _select(self, statement: str, values: Values) -> Sequence[Row]:
        """Run a statement that returns rows, and changes none."""

    @abstractmethod
    def _returning(self, statement: str, values: Values) -> Sequence[Row]:
        """Run a statement that changes rows and returns them, as a transaction of its own."""

    @abstractmethod
    def _change(self, statement: str, values: Values) -> int:
        """Run a statement that changes rows, as a transaction of its own; return how many it found."""

    @abstractmethod
    def _transact(self, job: Callable[[Connection], ResultT]) -> ResultT:
        """Run several statements: all of it happens, or nothing if ``job`` raises."""

    def _persist(self, call: Callable[[], ResultT]) -> ResultT:
        """Call what is :func:`repeatable`; a store whose connection can be lost calls it again then."""
        return call()

    def _now(self) -> float:
        """Return the time; some stores ask the database for it first."""
        return self.clock()

    @repeatable
    def is_stale(self, key: Key, mark: Mark, names: Sequence[str]) -> bool:
        """Return whether the receiver that had one of ``names`` is done with a later event on the line of ``mark``."""
        values = {**key._asdict(), "resource": storable(mark.resource), "at": mark.at}
        statement = self._statements.stale[mark.field]
        return any(self._select(statement, {**values, "receiver": name}) for name in names)

    @repeatable
    def done_by(self, key: Key, mark: Mark) -> str | None:
        """Return the id of the delivery with which a key was used up."""
        values = {"endpoint": key.endpoint, "receiver": storable(mark.receiver), "line": storable(mark.line)}
        rows = self._select(self._statements.done_by, values)
        return str(rows[0][0]) if rows else None

    @repeatable
    def receivers(self, endpoint: str) -> Sequence[str]:
        """Return the names in the receipts of deliveries that are not done."""
        return [str(name) for (name,) in self._select(self._statements.receivers, {"endpoint": endpoint})]

    @repeatable
    def get(self, key: Key) -> Stored | None:
        """Return the delivery, or None if there is none."""
        rows = self._select(self._statements.get, key._asdict())
        return stored_of(rows[0]) if rows else None

    @repeatable
    def receipts(self, key: Key) -> Sequence[Receipt]:
        """Return the receipts of a delivery."""
        return [receipt_of(row) for row in self._select(self._statements.receipts, key._asdict())]

    @repeatable
    def troubles(self, keys: Sequence[Key]) -> Mapping[Key, Receipt]:
        """Return one receipt of each of some deliveries that a receiver has not finished, or has given up on."""
        rows = [
            (endpoint, row)
            for endpoint, ids in batches(keys)
            for row in self._select(self._statements.troubles, {"endpoint": endpoint, **named(ids)})
        ]
        return {Key(endpoint, str(row[0])): receipt_of(row[1:]) for endpoint, row in rows}

    @repeatable
    def find(self, endpoint: str, wanted: Filter, limit: int) -> Sequence[Stored]:
        """Return up to ``limit`` deliveries, the latest first."""
        found, values = self._searches(endpoint, wanted)
        if not found:
            return []
        statement = self._statements.find(found, overlapping=wanted.text is not None)
        return [stored_of(row) for row in self._select(statement, {**values, "endpoint": endpoint, "limit": limit})]

    @repeatable
    def edge(self, endpoint: str, wanted: Filter, within: int) -> tuple[float, str] | None:
        """Return how far back one looks at ``within`` deliveries in search of what is wanted; None for to the end."""
        searches, values = self._searches(endpoint, wanted)
        # The others look at few rows anyway, and at the same ones for each page.
        found = [search for search in searches if search.in_order]
        if not any(search.filters for search in found):
            return None
        statement = self._statements.edge(found)
        rows = self._select(statement, {**values, "endpoint": endpoint, "within": within - 1})
        return max(((number(at), str(delivery_id)) for at, delivery_id in rows), default=None)

    def _searches(self, endpoint: str, wanted: Filter) -> tuple[list[Search], dict[str, object]]:
        types = self._types_like(endpoint, wanted.event_type) if wanted.event_type is not None else None
        if types == []:
            return [], {}
        searches = Searches(wanted, types, has_small_indexes=self._statements.has_small_indexes)
        if not wanted.text:
            return searches.all(), searches.values
        families = sorted({name.rpartition(".")[0] for name in self._types_like(endpoint, "*")})
        about = {"endpoint": endpoint, "prefix": storable(wanted.text)}
        known = self._walk(self._statements.next_account, about, _MOST_ACCOUNTS)
        accounts = [account for account in known if account.startswith(wanted.text)]
        found = searches.of_text(wanted.text, families, accounts, self._statements.by_bytes)
        return found, searches.values

    def _types_like(self, endpoint: str, pattern: str) -> list[str]:
        if "*" not in pattern:
            return [pattern]
        known = self._walk(self._statements.next_type, {"endpoint": endpoint}, _MOST_TYPES)
        return [name for name in known if is_like(name, pattern)]

    def _walk(self, statement: str, about: Values, most: int) -> list[str]:
        """Return up to ``most`` values of an index, which leads from one to the next, however many rows each has."""
        known = [""]
        while len(known) <= most and (rows := self._select(statement, {**about, "after": known[-1]})):
            known.append(str(rows[0][0]))
        return known[1:]

    @repeatable
    def tallies(self, endpoint: str, since: int, by_hour: str) -> Mapping[Tally, int]:
        """Return what was counted in the hour ``since`` and later: of one kind ``by_hour``, of the others in all."""
        values = {"endpoint": endpoint, "since": since, "by_hour": by_hour}
        rows = self._select(self._statements.tallies, values)
        return {Tally(whole(hour), str(kind), str(name)): whole(counted) for hour, kind, name, counted in rows}

    @repeatable
    def drop_tallies(self, endpoint: str, before: int) -> None:
        """Forget what was counted before the hour ``before``."""
        self._change(self._statements.drop_tallies, {"endpoint": endpoint, "before": before})

    @repeatable
    def note(self, endpoint: str, name: str) -> float | None:
        """Return the time that was noted under ``name``."""
        rows = self._select(self._statements.note, {"endpoint": endpoint, "name": storable(name)})
        return number(rows[0][0]) if rows else None

    @repeatable
    def notes(self, endpoint: str, prefix: str) -> Mapping[str, float]:
        """Return the times that are noted under names that begin with ``prefix``."""
        rows = self._select(self._statements.notes, {"endpoint": endpoint, "like": f"{prefix}%"})
        return {str(name): number(at) for name, at in rows}

    @repeatable
    def drop_notes(self, endpoint: str, prefix: str, before: float) -> None:
        """Forget the times before ``before`` under names that begin with ``prefix``."""
        self._change(self._statements.drop_notes, {"endpoint": endpoint, "like": f"{prefix}%", "before": before})

    @repeatable
    def backlog(self, endpoint: str, most: int) -> int:
        """Count the deliveries that are due, up to ``most``."""
        [(count,)] = self._select(self._statements.backlog, {"endpoint": endpoint, "most": most})
        return whole(count)

    @repeatable
    def stats(self, endpoint: str) -> Stats:
        """Count the deliveries by state."""
        counted = self._select(self._statements.counts, {"endpoint": endpoint})
        since = {"endpoint": endpoint, "since": self.clock() - DONE_WITHIN}
        [(done,)] = self._select(self._statements.done_since, since)
        counts = dict.fromkeys(UNFINISHED, 0) | {State(state): whole(count) for state, count, _ in counted}
        waiting = [number(since) for state, _, since in counted if state != State.DEAD.value]
        return Stats(counts, whole(done), max(0.0, self.clock() - min(waiting)) if waiting else None)
