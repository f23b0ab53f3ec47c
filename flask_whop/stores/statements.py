"""The statements of the stores in databases, with named parameters.

They are written once for SQLite and PostgreSQL, whose upserts are alike; MySQL and MariaDB
have others where their SQL differs.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

from flask_whop.stores.schema import BY_STATE, UNFINISHED_ROWS
from flask_whop.stores.statements_lookups import AT_ONCE as AT_ONCE
from flask_whop.stores.statements_lookups import BATCH, KEY, STORED, LookupStatements
from flask_whop.stores.statements_lookups import Names as Names

ARRIVED = (
    "endpoint, id, event_type, account_id, resource, occurred_at, updated_at, signed_at, secret_index, body,"
    " receivers, signer, origin, trace, received_at, opened_at, changed_at, lapses"
)
ARRIVED_VALUES = (
    ":endpoint, :id, :event_type, :account_id, :resource, :occurred_at, :updated_at, :signed_at, :secret_index, :body,"
    " :receivers, :signer, :origin, :trace, :now, :now, :now, 0"
)
TAKING = (
    "opened_at = CASE WHEN owned = 1 THEN opened_at ELSE :now END, owned = 1,"
    " lapses = lapses + CASE WHEN state = 'running' THEN 1 ELSE 0 END, state = 'running',"
    " lease = :token, lease_until = :until, attempts = attempts + 1, changed_at = :now"
)
STANDING = "state, owned, attempts, lease"
_RECEIPT = "endpoint, delivery_id, receiver, state, attempts, first_at, last_at, due_at, error, answer, seconds"
_RECEIPT_OUTCOME = ":receiver, :state, :attempts, :first_at, :last_at, :due_at, :error, :answer, :seconds"
_RECEIPT_VALUES = f":endpoint, :id, {_RECEIPT_OUTCOME}"
RECEIPT_NEW = ("state", "attempts", "first_at", "last_at", "due_at", "error", "answer", "seconds")
MARK = "endpoint, receiver, line, delivery_id, latest_at, token, held_until"
_LINE = "endpoint = :endpoint AND receiver = :receiver AND line = :line"
# CASE keeps the state out of the choice of an index: the key alone finds the row, however
# many rows are in that state, even if the plan was made while the table was empty.
_HELD = f"{KEY} AND CASE state WHEN 'running' THEN lease = :token ELSE 1 = 0 END"
TAKEABLE = "CASE state WHEN 'due' THEN due_at <= :latest WHEN 'running' THEN lease_until < :now ELSE 1 = 0 END"
# At rest: nobody holds it, not even a dead process.
_AT_REST = "CASE state WHEN 'running' THEN lease_until < :now ELSE 1 = 1 END"
# Over: pruned when it is old.
OVER = "state IN ('failed', 'done', 'dead')"


class Ending(NamedTuple):
    """The statements that end a claim, alone or together with a receipt."""

    alone: str
    with_receipt: str | None
    """One statement that returns a row if it wrote both; None where that takes two."""
    with_receipt_committed: str | None
    """The same, which must have a transaction of its own."""


class Statements(LookupStatements):
    """The statements of SQLite, and what others have in common with it."""

    locking: str = ""
    """Locks the rows that are read until the transaction ends; SQLite has one writer at a time."""
    passing: str = ""
    """The same, skipping rows that others have locked."""
    tells: bool = True
    """Whether an upsert's row count says if its condition was met."""
    returns: bool = True
    """Whether :attr:`take` and :attr:`take_due` return what they claimed."""
    upserts: bool = True
    """Whether :attr:`claim` and :attr:`accept` return the delivery's standing, if they changed it."""

    def __init__(self, names: Names) -> None:
        super().__init__(names)
        self._write_claims()
        self._write_takes()
        self._write_due()
        self._write_holds()
        self._write_receipts()
        self._write_marks()
        self._write_replays()
        self._write_pruning()

    def _write_claims(self) -> None:
        """Write what makes a delivery a running one, or ours."""
        deliveries = self._names.deliveries
        # A claim is granted if nobody holds the delivery and it isn't due here.
        lapsed = f"({deliveries}.state = 'running' AND {deliveries}.lease_until < :now)"
        lapses = f"lapses = {deliveries}.lapses + CASE WHEN {deliveries}.state = 'running' THEN 1 ELSE 0 END"
        self.claim: str = (
            f"INSERT INTO {deliveries} ({ARRIVED}, state, owned, attempts, lease, lease_until)"
            f" VALUES ({ARRIVED_VALUES}, 'running', 0, 1, :token, :until)"
            f" ON CONFLICT (endpoint, id) DO UPDATE SET state = 'running', owned = 0, lease = :token,"
            f" lease_until = :until, attempts = {deliveries}.attempts + 1, changed_at = :now, due_at = NULL,"
            f" {lapses}, body = :body WHERE ({deliveries}.{OVER} AND {deliveries}.origin <> 'erased') OR {lapsed}"
            f" RETURNING {STANDING}"
        )
        # Due, or already running if the caller runs it at once.
        self.accept: str = (
            f"INSERT INTO {deliveries} ({ARRIVED}, state, owned, attempts, due_at, lease, lease_until)"
            f" VALUES ({ARRIVED_VALUES}, :state, 1, :attempts, :due_at, :token, :until)"
            f" ON CONFLICT (endpoint, id) DO UPDATE SET state = :state, owned = 1, due_at = :due_at,"
            f" attempts = {deliveries}.attempts + :attempts, {lapses}, opened_at = :now, changed_at = :now,"
            f" body = :body, receivers = :receivers, lease = :token, lease_until = :until"
            f" WHERE {deliveries}.state = 'failed' OR {lapsed} RETURNING {STANDING}"
        )
        self.standing: str = f"SELECT {STANDING} FROM {deliveries} WHERE {KEY}"

    def _write_takes(self) -> None:
        """Write what claims what is due, and gives it back."""
        deliveries = self._names.deliveries
        self.take: str = f"{self._taking} WHERE {KEY} AND body IS NOT NULL AND {TAKEABLE} RETURNING {self._taken}"
        # What was claimed by a statement whose answer was lost, or that returns none.
        self.taken: str = f"SELECT {self._taken} FROM {deliveries} WHERE {_HELD} AND owned = 1"
        self._waiting = f"{self._unfinished} AND state = 'due' AND due_at <= :now"
        self._next = f"{self._waiting} AND lapses = 0 ORDER BY due_at LIMIT :limit"
        self.take_due: str = f"{self._taking} WHERE rowid IN (SELECT rowid {self._next}) RETURNING {self._taken}"
        self.taken_due: str = f"SELECT {self._taken} {self._unfinished} AND state = 'running' AND lease = :token"
        self.put_back: str = (
            f"UPDATE {deliveries} SET state = 'due', attempts = attempts - 1, lease = NULL WHERE {_HELD}"
        )

    def _write_due(self) -> None:
        """Write what looks for what is due, and what changes when."""
        deliveries = self._names.deliveries
        # In parts, each of which uses the index of unfinished rows: neither done rows nor
        # those due later cost anything.
        self.due: str = (
            f"SELECT * FROM (SELECT endpoint, id, lapses, due_at {self._next}) AS together"
            f" UNION ALL SELECT * FROM (SELECT endpoint, id, lapses, due_at {self._waiting} AND lapses > 0"
            f" ORDER BY lapses, due_at LIMIT :limit) AS alone"
            f" UNION ALL SELECT endpoint, id, lapses + 1, 0 FROM (SELECT endpoint, id, lapses {self._unfinished}"
            f" AND state = 'running' AND lease_until < :now LIMIT :limit) AS left_behind ORDER BY 4"
        )
        # Deliveries claimed together run in order, the longest due first: if their process
        # died, all but the first were only claimed.
        self.release: str = (
            f"UPDATE {deliveries} SET state = 'due', attempts = attempts - 1, lease = NULL"
            f" WHERE endpoint = :endpoint AND state = 'running' AND {UNFINISHED_ROWS} AND id IN (SELECT id FROM ("
            f"SELECT behind.id FROM {deliveries} AS behind JOIN {deliveries} AS first"
            f" ON first.endpoint = behind.endpoint AND first.lease = behind.lease"
            f" AND (first.due_at < behind.due_at OR (first.due_at = behind.due_at AND first.id < behind.id))"
            f" WHERE behind.endpoint = :endpoint AND behind.state = 'running' AND behind.state <> 'done'"
            f" AND behind.lease_until < :now AND first.state = 'running' AND first.state <> 'done') AS unstarted)"
            f" AND lease_until < :now"
        )
        self.postpone: str = (
            f"UPDATE {deliveries} SET due_at = :due_at WHERE {KEY} AND CASE state WHEN 'due' THEN 1 = 1 ELSE 1 = 0 END"
        )

    def _write_holds(self) -> None:
        """Write what renews a claim, and what ends it."""
        deliveries, marks = self._names.deliveries, self._names.marks
        self.renew: str = f"UPDATE {deliveries} SET lease_until = :until WHERE {_HELD}"
        self.renew_turn: str = f"UPDATE {marks} SET held_until = :until WHERE {_LINE} AND token = :token"
        # The fence is the condition that the token still holds the delivery.
        self.hold: str = f"SELECT 1 FROM {deliveries} WHERE {_HELD}"
        settled = f"UPDATE {deliveries} SET state = :ends, due_at = :ends_due_at, changed_at = :now"
        self.settle: str = f"{settled} WHERE {_HELD}"
        self.settle_without_body: str = f"{settled}, body = NULL WHERE {_HELD}"

    def _write_receipts(self) -> None:
        """Write what records a receipt."""
        deliveries, receipts, *_ = self._names
        self.record: str = f"INSERT INTO {receipts} ({_RECEIPT}) VALUES ({_RECEIPT_VALUES}){self._replaced}"
        self.record_held: str = (
            f"INSERT INTO {receipts} ({_RECEIPT}) SELECT endpoint, id, {_RECEIPT_OUTCOME}"
            f" FROM {deliveries} WHERE {_HELD}{self.locking}{self._replaced}"
        )

    def _write_marks(self) -> None:
        """Write what keeps the events of a resource in order."""
        marks = self._names.marks
        self.turn: str = (
            f"INSERT INTO {marks} ({MARK}) VALUES (:endpoint, :receiver, :line, :id, NULL, :token, :until)"
            f" ON CONFLICT (endpoint, receiver, line) DO UPDATE"
            f" SET token = :token, held_until = :until, delivery_id = :id"
            f" WHERE ({marks}.latest_at IS NULL OR {marks}.latest_at <= :at)"
            f" AND ({marks}.token IS NULL OR {marks}.token = :token OR {marks}.held_until < :now)"
        )
        self.mark: str = f"SELECT latest_at, token FROM {marks} WHERE {_LINE}"
        self.mark_now: str = self.mark
        self.move: str = (
            f"UPDATE {marks} SET token = NULL, delivery_id = :id,"
            f" latest_at = CASE WHEN latest_at > :at THEN latest_at ELSE :at END WHERE {_LINE} AND token = :token"
        )
        self.leave: str = f"UPDATE {marks} SET token = NULL WHERE {_LINE} AND token = :token"
        self.advance: str = (
            f"INSERT INTO {marks} ({MARK}) VALUES (:endpoint, :receiver, :line, :id, :at, NULL, NULL)"
            f" ON CONFLICT (endpoint, receiver, line) DO UPDATE SET latest_at = :at, delivery_id = :id"
            f" WHERE {marks}.latest_at IS NULL OR {marks}.latest_at <= :at"
        )

        self.advance_once: str = (
            f"INSERT INTO {marks} ({MARK}) VALUES (:endpoint, :receiver, :line, :id, :at, NULL, NULL)"
            f" ON CONFLICT (endpoint, receiver, line) DO UPDATE SET latest_at = :at, delivery_id = :id"
            f" WHERE {marks}.latest_at IS NULL"
        )
        self.done_by: str = f"SELECT delivery_id FROM {marks} WHERE {_LINE} AND latest_at IS NOT NULL"

    def _write_replays(self) -> None:
        """Write what runs a delivery again, and what asks whether it is stale."""
        deliveries, receipts, *_ = self._names
        self.replay: str = (
            f"UPDATE {deliveries} SET state = 'due', owned = 1, due_at = :now, opened_at = :now, changed_at = :now,"
            f" lease = NULL WHERE {KEY} AND body IS NOT NULL AND {_AT_REST}"
        )
        self.call_again: str = (
            f"UPDATE {receipts} SET state = 'failed', due_at = :now WHERE endpoint = :endpoint AND delivery_id = :id"
            f" AND state IN ('failed', 'dead', 'started')"
        )
        done_later = (
            f"SELECT 1 FROM {deliveries} AS later JOIN {receipts} AS done"
            f" ON done.endpoint = later.endpoint AND done.delivery_id = later.id"
            f" WHERE later.endpoint = :endpoint AND later.resource = :resource AND later.id <> :id"
            f" AND done.receiver = :receiver AND done.state = 'done'"
        )
        self.stale: dict[str, str] = {
            "updated_at": f"{done_later} AND later.updated_at > :at LIMIT 1",
            "timestamp": f"{done_later} AND later.updated_at IS NULL AND later.occurred_at > :at LIMIT 1",
        }

        self.call_again_one: str = (
            f"UPDATE {receipts} SET state = 'failed', due_at = :now WHERE endpoint = :endpoint AND delivery_id = :id"
            f" AND receiver = :receiver"
        )
        not_running = f"endpoint = :endpoint AND id IN ({BATCH}) AND {_AT_REST}"
        self.erase_texts: str = (
            f"UPDATE {receipts} SET error = NULL, answer = NULL, due_at = NULL,"
            f" state = CASE WHEN state IN ('failed', 'dead', 'started') THEN 'skipped' ELSE state END"
            f" WHERE endpoint = :endpoint AND delivery_id IN (SELECT id FROM {deliveries} WHERE {not_running})"
        )
        self.erase_bodies: str = (
            f"UPDATE {deliveries} SET body = NULL, state = 'done', owned = 1, due_at = NULL, lease = NULL,"
            f" origin = 'erased' WHERE {not_running}"
        )
        self.with_old_body: str = (
            f"SELECT id FROM {deliveries} WHERE endpoint = :endpoint AND {BY_STATE} AND state = 'done'"
            f" AND received_at >= :after AND received_at < :before AND body IS NOT NULL"
            f" ORDER BY received_at, id LIMIT :limit{self.passing}"
        )
        self.drop_bodies: str = f"UPDATE {deliveries} SET body = NULL WHERE endpoint = :endpoint AND id IN ({BATCH})"

    def _write_pruning(self) -> None:
        """Write what forgets what is old."""
        deliveries, receipts, marks, *_ = self._names
        self.old: str = (
            f"SELECT id FROM {deliveries} WHERE endpoint = :endpoint AND received_at < :before"
            f" AND changed_at < :before AND {BY_STATE} AND state = :state"
            f" ORDER BY received_at, id LIMIT :limit{self.passing}"
        )
        self.forget: tuple[str, ...] = (
            f"DELETE FROM {receipts} WHERE endpoint = :endpoint AND delivery_id IN ({BATCH})",
            # A key that is used up stays so.
            f"DELETE FROM {marks} WHERE endpoint = :endpoint AND delivery_id IN ({BATCH}) AND line NOT LIKE :once",
            f"DELETE FROM {deliveries} WHERE endpoint = :endpoint AND id IN ({BATCH})",
        )

    @property
    def _taking(self) -> str:
        return f"UPDATE {self._names.deliveries} SET {TAKING}"

    @property
    def _replaced(self) -> str:
        """Return how a receipt replaces the previous one: done stays done, unless the same write is repeated."""
        receipts = self._names.receipts
        new = ", ".join(f"{column} = excluded.{column}" for column in RECEIPT_NEW)
        return (
            f" ON CONFLICT (endpoint, delivery_id, receiver) DO UPDATE SET {new} WHERE {receipts}.state <> 'done'"
            f" OR (excluded.state = 'done' AND {receipts}.attempts = excluded.attempts)"
        )

    @cached_property
    def ending(self) -> Ending:
        """The statements that end a claim."""
        return self._ending(self.settle)

    @cached_property
    def ending_without_body(self) -> Ending:
        """The statements that end a claim and drop the delivery's body."""
        return self._ending(self.settle_without_body)

    def _ending(self, settle: str) -> Ending:
        return Ending(settle, None, None)


class SqliteStatements(Statements):
    """The statements of our own file, in which large bodies have a separate table.

    Each change makes SQLite write the whole row again, including its body.
    """

    def __init__(self, names: Names, bodies: str) -> None:
        self._bodies = bodies
        super().__init__(names)
        self.keep_large: str = f"INSERT OR REPLACE INTO {bodies} (endpoint, id, body) VALUES (:endpoint, :id, :body)"

    @property
    def _taken(self) -> str:
        """An empty body means that it is in the other table."""
        deliveries, key = self._names.deliveries, "large.endpoint = {0}.endpoint AND large.id = {0}.id"
        large = f"SELECT large.body FROM {self._bodies} AS large WHERE {key.format(deliveries)}"
        return f"{STORED}, CASE WHEN LENGTH(body) > 0 THEN body ELSE ({large}) END AS body"


class PostgreSQLStatements(Statements):
    """The statements of PostgreSQL."""

    locking: str = " FOR UPDATE"
    passing: str = " FOR UPDATE SKIP LOCKED"
    by_bytes: str = ' COLLATE "C"'  # the tables of former releases are in the order of the database

    def __init__(self, names: Names) -> None:
        super().__init__(names)
        chosen = f"SELECT id AS next_id {self._next}{self.passing}"
        self.take_due: str = (
            # As an expression, the endpoint can't be used to choose the row, so the id does.
            f"{self._taking} FROM ({chosen}) AS chosen"
            f" WHERE id = next_id AND endpoint || '' = :endpoint RETURNING {self._taken}"
        )

    def _ending(self, settle: str) -> Ending:
        together = (
            f"WITH held AS ({settle} RETURNING endpoint, id) INSERT INTO {self._names.receipts} ({_RECEIPT})"
            f" SELECT endpoint, id, {_RECEIPT_OUTCOME} FROM held{self._replaced} RETURNING 1"
        )
        return Ending(settle, together, together)
