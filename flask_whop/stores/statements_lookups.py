"""The statements that only look at what a store has, and those that keep its notes and tallies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from flask_whop.stores.records import TROUBLES
from flask_whop.stores.schema import BY_STATE, BY_TYPE, UNFINISHED_ROWS

STORED: Final = (
    "endpoint, id, event_type, account_id, state, owned, attempts, received_at, opened_at, changed_at,"
    " due_at, signed_at, secret_index, receivers, signer, origin, resource, trace"
)
AT_ONCE: Final = 100
"""How many deliveries one statement names, so nobody waits long."""
BATCH: Final = ", ".join(f":id_{number}" for number in range(AT_ONCE))
MOST_UNORDERED: Final = 1000
"""How many rows are looked at of an index that doesn't give the latest first."""
KEY: Final = "endpoint = :endpoint AND id = :id"


class Names(NamedTuple):
    """The names of the tables, quoted and with their schema where needed."""

    deliveries: str
    receipts: str
    marks: str
    notes: str
    tallies: str


class Search(NamedTuple):
    """A search by one index: the condition that the index serves, and those that filter its rows.

    ``{deliveries}`` and ``{receipts}`` stand for the tables.
    """

    indexed: str
    filters: str = ""
    in_order: bool = True
    """Whether the index gives the latest first. If it doesn't, only some of its rows are looked at."""
    endpoint: str = "endpoint = :endpoint"
    """The condition that the deliveries are those of the endpoint."""

    @property
    def condition(self) -> str:
        """What the rows of the table must meet."""
        return " AND ".join(filter(None, (self.indexed, self.filters))) if self.in_order else self.indexed


class LookupStatements:
    """The statements that look, and those of notes and tallies, for SQLite and PostgreSQL."""

    has_small_indexes: bool = True
    """Whether there are the indexes that have few rows."""
    by_bytes: str = ""
    """Makes a comparison one of bytes, where the column may be in the order of a language."""

    def __init__(self, names: Names) -> None:
        self._names = names
        # SQLite only uses the index of unfinished rows for a query that repeats its condition.
        self._unfinished = f"FROM {names.deliveries} WHERE endpoint = :endpoint AND {UNFINISHED_ROWS}"
        self._write_searches()
        self._write_counts()
        self._write_notes()
        self._write_tallies()

    def _write_searches(self) -> None:
        """Write what reads deliveries and receipts."""
        deliveries, receipts, *_ = self._names
        self.receivers: str = (
            f"SELECT DISTINCT kept.receiver FROM {deliveries} AS unfinished JOIN {receipts} AS kept"
            f" ON kept.endpoint = unfinished.endpoint AND kept.delivery_id = unfinished.id"
            f" WHERE unfinished.endpoint = :endpoint AND unfinished.state <> 'done' ORDER BY kept.receiver"
        )
        self.get: str = f"SELECT {self._taken} FROM {deliveries} WHERE {KEY}"
        self.receipts: str = (
            f"SELECT receiver, state, attempts, first_at, last_at, due_at, error, answer, seconds FROM {receipts}"
            f" WHERE endpoint = :endpoint AND delivery_id = :id ORDER BY first_at, receiver"
        )
        self.troubles: str = (
            f"SELECT delivery_id, receiver, state, attempts, first_at, last_at, due_at, error, answer, seconds"
            f" FROM {receipts} WHERE endpoint = :endpoint AND delivery_id IN ({BATCH})"
            f" AND state IN ({', '.join(repr(state.value) for state in sorted(TROUBLES))}) ORDER BY first_at, receiver"
        )

    def _write_counts(self) -> None:
        """Write what counts deliveries, and finds their types."""
        deliveries = self._names.deliveries
        self.counts: str = f"SELECT state, COUNT(*), MIN(received_at) {self._unfinished} GROUP BY state"
        self.done_since: str = (
            f"SELECT COUNT(*) FROM {deliveries} WHERE endpoint = :endpoint AND received_at >= :since"
            f" AND {BY_STATE} AND state = 'done'"
        )
        self.next_type: str = (
            f"SELECT event_type FROM {deliveries} WHERE endpoint = :endpoint AND {BY_TYPE} AND event_type > :after"
            f" ORDER BY event_type LIMIT 1"
        )
        account = f"account_id{self.by_bytes}"
        self.next_account: str = (
            f"SELECT account_id FROM {deliveries} WHERE endpoint = :endpoint AND account_id IS NOT NULL"
            f" AND {account} >= :prefix AND {account} > :after ORDER BY {account} LIMIT 1"
        )

    def _write_notes(self) -> None:
        """Write what keeps and reads notes."""
        notes = self._names.notes
        self.note: str = f"SELECT noted_at FROM {notes} WHERE endpoint = :endpoint AND name = :name"
        # By the key, whose first column is the name; all of them are ASCII, whatever the collation.
        like = "endpoint = :endpoint AND name LIKE :like"
        self.notes: str = f"SELECT name, noted_at FROM {notes} WHERE {like}"
        self.drop_notes: str = f"DELETE FROM {notes} WHERE {like} AND noted_at < :before"
        self.backlog: str = (
            f"SELECT COUNT(*) FROM (SELECT 1 AS one {self._unfinished} AND state = 'due' LIMIT :most) AS due"
        )
        self.put_note: str = (
            f"INSERT INTO {notes} (endpoint, name, noted_at) VALUES (:endpoint, :name, :at)"
            f" ON CONFLICT (endpoint, name) DO UPDATE"
            f" SET noted_at = CASE WHEN {notes}.noted_at < :at THEN :at ELSE {notes}.noted_at END"
        )

    def _write_tallies(self) -> None:
        """Write what counts for the charts."""
        tallies = self._names.tallies
        self.tally: str = (
            f"INSERT INTO {tallies} (endpoint, hour, kind, name, counted)"
            f" VALUES (:endpoint, :hour, :kind, :name, :counted)"
            f" ON CONFLICT (hour, kind, name, endpoint) DO UPDATE SET counted = {tallies}.counted + :counted"
        )
        self.tallies: str = (
            f"SELECT hour, kind, name, counted FROM {tallies}"
            f" WHERE hour >= :since AND endpoint = :endpoint AND kind = :by_hour"
            f" UNION ALL SELECT :since, kind, name, SUM(counted) FROM {tallies}"
            f" WHERE hour >= :since AND endpoint = :endpoint AND kind <> :by_hour GROUP BY kind, name"
        )
        self.drop_tallies: str = f"DELETE FROM {tallies} WHERE hour < :before AND endpoint = :endpoint"

    @property
    def _taken(self) -> str:
        return f"{STORED}, body"

    def find(self, searches: Sequence[Search], *, overlapping: bool = False) -> str:
        """Return a statement for the latest deliveries that one of the searches finds.

        ``overlapping`` says that several may find the same one. Each of them stops when it
        has found enough.
        """
        parts = (f"SELECT * FROM ({self._part(search)}) AS part_{number}" for number, search in enumerate(searches))
        union = " UNION " if overlapping else " UNION ALL "
        return f"{union.join(parts)} ORDER BY received_at DESC, id DESC LIMIT :limit"

    def _part(self, search: Search) -> str:
        rows = self._searching(f"{STORED}, NULL AS body", search)
        if not search.in_order:
            tables = {**self._names._asdict(), "deliveries": "looked_at"}
            narrowed = f" WHERE {search.filters.format_map(tables)}" if search.filters else ""
            rows = f"SELECT * FROM ({rows} LIMIT {MOST_UNORDERED}) AS looked_at{narrowed}"
        return f"{rows} ORDER BY received_at DESC, id DESC LIMIT :limit"

    def edge(self, searches: Sequence[Search]) -> str:
        """Return a statement for the places at which the searches have looked at ``:within`` rows of their indexes."""
        parts = (
            f"SELECT * FROM ({self._searching('received_at, id', search._replace(filters=''))}"
            f" ORDER BY received_at DESC, id DESC LIMIT 1 OFFSET :within) AS part_{number}"
            for number, search in enumerate(searches)
        )
        return " UNION ALL ".join(parts)

    def _searching(self, columns: str, search: Search) -> str:
        condition = search.condition.format_map(self._names._asdict())
        return f"SELECT {columns} FROM {self._names.deliveries} WHERE {search.endpoint} AND {condition}"
