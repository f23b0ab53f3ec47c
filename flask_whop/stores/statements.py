"""The statements of the stores in databases, with named parameters.

They are written once for SQLite and PostgreSQL, whose upserts read alike, and differ for
MySQL and MariaDB where those have no words for it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_STORED = (
    "endpoint, id, event_type, account_id, state, owned, attempts, received_at, opened_at, changed_at,"
    " due_at, signed_at, secret_index, receivers, signer"
)
_ARRIVED = (
    "endpoint, id, event_type, account_id, resource, occurred_at, updated_at, signed_at, secret_index, body,"
    " receivers, signer, received_at, opened_at, changed_at, lapses"
)
_ARRIVED_VALUES = (
    ":endpoint, :id, :event_type, :account_id, :resource, :occurred_at, :updated_at, :signed_at, :secret_index, :body,"
    " :receivers, :signer, :now, :now, :now, 0"
)
_RECEIPT = "endpoint, delivery_id, receiver, state, attempts, first_at, last_at, due_at, error"
_RECEIPT_VALUES = ":endpoint, :id, :receiver, :state, :attempts, :first_at, :last_at, :due_at, :error"
_RECEIPT_NEW = ("state", "attempts", "first_at", "last_at", "due_at", "error")
_MARK = "endpoint, receiver, line, delivery_id, latest_at, token, held_until"
_KEY = "endpoint = :endpoint AND id = :id"
_LINE = "endpoint = :endpoint AND receiver = :receiver AND line = :line"
_HELD = f"{_KEY} AND lease = :token AND state = 'running'"
PRUNED_AT_ONCE: Final = 500
"""How many deliveries are deleted in one transaction, so that nobody waits for long."""


class Names(NamedTuple):
    """What the tables are called, quoted and with their schema where they need it."""

    deliveries: str
    receipts: str
    marks: str


def _held_receipt(names: Names) -> str:
    """A receipt that is written only while the token holds the delivery."""
    values = "endpoint, id, :receiver, :state, :attempts, :first_at, :last_at, :due_at, :error"
    return f"INSERT INTO {names.receipts} ({_RECEIPT}) SELECT {values} FROM {names.deliveries} WHERE {_HELD}"


class Statements:
    """The statements of SQLite, and with ``locking`` those of PostgreSQL."""

    locking: str = ""
    """What holds a row that is read until the transaction ends; SQLite has one writer at a time."""
    tells: bool = True
    """Whether an upsert tells by its count of rows if its condition was met."""

    def __init__(self, names: Names) -> None:
        deliveries, receipts, marks = names
        # A claim is granted where nobody holds the delivery and its retry is not ours already.
        lapsed = f"({deliveries}.state = 'running' AND {deliveries}.lease_until < :now)"
        self.claim: str = (
            f"INSERT INTO {deliveries} ({_ARRIVED}, state, owned, attempts, lease, lease_until)"
            f" VALUES ({_ARRIVED_VALUES}, 'running', 0, 1, :token, :until)"
            f" ON CONFLICT (endpoint, id) DO UPDATE SET state = 'running', owned = 0, lease = :token,"
            f" lease_until = :until, attempts = {deliveries}.attempts + 1, changed_at = :now, due_at = NULL,"
            f" lapses = {deliveries}.lapses + CASE WHEN {deliveries}.state = 'running' THEN 1 ELSE 0 END,"
            f" body = :body WHERE {deliveries}.state IN ('failed', 'done', 'dead') OR {lapsed} RETURNING attempts"
        )
        self.accept: str = (
            f"INSERT INTO {deliveries} ({_ARRIVED}, state, owned, attempts, due_at, lease)"
            f" VALUES ({_ARRIVED_VALUES}, 'due', 1, 0, :due_at, :token)"
            f" ON CONFLICT (endpoint, id) DO UPDATE SET state = 'due', owned = 1, due_at = :due_at,"
            f" lapses = {deliveries}.lapses + CASE WHEN {deliveries}.state = 'running' THEN 1 ELSE 0 END,"
            f" opened_at = :now, changed_at = :now, body = :body, receivers = :receivers, lease = :token"
            f" WHERE {deliveries}.state = 'failed' OR {lapsed} RETURNING state"
        )
        # Where an upsert cannot say what it did, the token that it left does.
        self.claimed: str | None = None
        self.accepted: str | None = None
        self.standing: str = f"SELECT state, owned, attempts, lease FROM {deliveries} WHERE {_KEY}"
        self.take: str = (
            f"UPDATE {deliveries} SET opened_at = CASE WHEN owned = 1 THEN opened_at ELSE :now END, owned = 1,"
            f" lapses = lapses + CASE WHEN state = 'running' THEN 1 ELSE 0 END,"
            f" state = 'running', lease = :token, lease_until = :until,"
            f" attempts = attempts + 1, changed_at = :now WHERE {_KEY} AND body IS NOT NULL"
            f" AND ((state = 'due' AND due_at <= :latest) OR (state = 'running' AND lease_until < :now))"
        )
        self.taken: str = f"SELECT 1 FROM {deliveries} WHERE {_HELD} AND owned = 1"
        # In parts, each of which finds its rows by the index of what is unfinished: neither
        # what is done nor what is due later costs anything. SQLite uses that index for a query
        # alone that repeats its condition.
        due = f"SELECT endpoint, id, lapses, due_at FROM {deliveries} WHERE endpoint = :endpoint AND state <> 'done'"
        waiting = f"{due} AND state = 'due' AND due_at <= :now"
        self.due: str = (
            f"SELECT * FROM ({waiting} AND lapses = 0 ORDER BY due_at LIMIT :limit) AS together"
            f" UNION ALL SELECT * FROM ({waiting} AND lapses > 0 ORDER BY due_at LIMIT :limit) AS alone"
            f" UNION ALL SELECT endpoint, id, lapses + 1, 0 FROM"
            f" ({due} AND state = 'running' AND lease_until < :now LIMIT :limit) AS left_behind ORDER BY 4"
        )
        self.postpone: str = f"UPDATE {deliveries} SET due_at = :due_at WHERE {_KEY} AND state = 'due'"
        self.renew: str = f"UPDATE {deliveries} SET lease_until = :until WHERE {_HELD}"
        self.renew_turn: str = f"UPDATE {marks} SET held_until = :until WHERE {_LINE} AND token = :token"
        # The fence: what holds the delivery's row until the transaction ends, and finds it while
        # the token still has it.
        self.hold: str = f"UPDATE {deliveries} SET changed_at = :now WHERE {_HELD}"
        new = ", ".join(f"{column} = excluded.{column}" for column in _RECEIPT_NEW)
        replaced = f" ON CONFLICT (endpoint, delivery_id, receiver) DO UPDATE SET {new}"
        # What is done stays done, whoever comes late; a repetition of the same says nothing new.
        replaced += (
            f" WHERE {receipts}.state <> 'done'"
            f" OR (excluded.state = 'done' AND {receipts}.attempts = excluded.attempts)"
        )
        self.record: str = f"INSERT INTO {receipts} ({_RECEIPT}) VALUES ({_RECEIPT_VALUES}){replaced}"
        # The same with the fence in it, for a receipt that is written by itself.
        self.record_held: str = f"{_held_receipt(names)}{self.locking}{replaced}"
        settled = f"UPDATE {deliveries} SET state = :state, due_at = :due_at, changed_at = :now"
        self.settle: str = f"{settled} WHERE {_HELD}"
        self.settle_without_body: str = f"{settled}, body = NULL WHERE {_HELD}"
        self.turn: str = (
            f"INSERT INTO {marks} ({_MARK}) VALUES (:endpoint, :receiver, :line, :id, NULL, :token, :until)"
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
        self.overtake: str = (
            f"INSERT INTO {marks} ({_MARK}) VALUES (:endpoint, :receiver, :line, :id, :at, NULL, NULL)"
            f" ON CONFLICT (endpoint, receiver, line) DO UPDATE SET latest_at = :at, delivery_id = :id"
            f" WHERE {marks}.latest_at IS NULL OR {marks}.latest_at <= :at"
        )
        self.replay: str = (
            f"UPDATE {deliveries} SET state = 'due', owned = 1, due_at = :now, opened_at = :now, changed_at = :now,"
            f" lease = NULL WHERE {_KEY} AND state IN ('failed', 'done', 'dead', 'due') AND body IS NOT NULL"
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
        self.newer: dict[str, str] = {
            "updated_at": f"{done_later} AND later.updated_at > :at LIMIT 1",
            "timestamp": f"{done_later} AND later.updated_at IS NULL AND later.occurred_at > :at LIMIT 1",
        }
        self.receivers: str = (
            f"SELECT DISTINCT kept.receiver FROM {deliveries} AS unfinished JOIN {receipts} AS kept"
            f" ON kept.endpoint = unfinished.endpoint AND kept.delivery_id = unfinished.id"
            f" WHERE unfinished.endpoint = :endpoint AND unfinished.state <> 'done' ORDER BY kept.receiver"
        )
        self.get: str = f"SELECT {_STORED}, body FROM {deliveries} WHERE {_KEY}"
        self.receipts: str = (
            f"SELECT receiver, state, attempts, first_at, last_at, due_at, error FROM {receipts}"
            f" WHERE endpoint = :endpoint AND delivery_id = :id ORDER BY first_at, receiver"
        )
        self.find: str = f"SELECT {_STORED}, NULL FROM {deliveries} WHERE endpoint = :endpoint"
        self.counts: str = f"SELECT state, COUNT(*) FROM {deliveries} WHERE endpoint = :endpoint GROUP BY state"
        self.oldest: str = (
            f"SELECT MIN(received_at) FROM {deliveries} WHERE endpoint = :endpoint"
            f" AND state IN ('running', 'failed', 'due')"
        )
        self.old: str = (
            f"SELECT id, state FROM {deliveries} WHERE endpoint = :endpoint AND received_at < :before"
            f" AND changed_at < :before AND state IN ('failed', 'done', 'dead') LIMIT {PRUNED_AT_ONCE}"
        )
        # What a replay has made due since it was found is not deleted.
        self.forget: str = (
            f"DELETE FROM {deliveries} WHERE {_KEY} AND changed_at < :before AND state IN ('failed', 'done', 'dead')"
        )
        self.forget_with: tuple[str, ...] = (
            f"DELETE FROM {receipts} WHERE endpoint = :endpoint AND delivery_id = :id",
            f"DELETE FROM {marks} WHERE endpoint = :endpoint AND delivery_id = :id",
        )


class PostgreSQLStatements(Statements):
    """The statements of PostgreSQL."""

    locking: str = " FOR UPDATE"


class MySQLStatements(Statements):
    """The statements of MySQL and MariaDB, whose upsert knows no condition and returns nothing.

    It assigns from left to right: what counts goes first, by what the row was, so that a
    statement that is sent twice counts once; then the token, and what follows goes by whether
    it was taken.
    """

    locking: str = " FOR UPDATE"
    tells: bool = False

    def __init__(self, names: Names) -> None:
        super().__init__(names)
        deliveries, receipts, marks = names
        lapsed = "(state = 'running' AND lease_until < :now)"
        counted = f"lapses = lapses + IF({lapsed}, 1, 0)"
        granted = f"(state IN ('failed', 'done', 'dead') OR {lapsed})"
        self.claim: str = (
            f"INSERT INTO {deliveries} ({_ARRIVED}, state, owned, attempts, lease, lease_until)"
            f" VALUES ({_ARRIVED_VALUES}, 'running', 0, 1, :token, :until) ON DUPLICATE KEY UPDATE"
            f" {counted}, attempts = attempts + IF({granted}, 1, 0), lease = IF({granted}, :token, lease),"
            f" owned = IF(lease <=> :token, 0, owned),"
            f" changed_at = IF(lease <=> :token, :now, changed_at), due_at = IF(lease <=> :token, NULL, due_at),"
            f" body = IF(lease <=> :token, :body, body), lease_until = IF(lease <=> :token, :until, lease_until),"
            f" state = IF(lease <=> :token, 'running', state)"
        )
        self.claimed: str | None = f"SELECT attempts FROM {deliveries} WHERE {_KEY} AND lease = :token"
        self.accept: str = (
            f"INSERT INTO {deliveries} ({_ARRIVED}, state, owned, attempts, due_at, lease)"
            f" VALUES ({_ARRIVED_VALUES}, 'due', 1, 0, :due_at, :token) ON DUPLICATE KEY UPDATE"
            f" {counted}, lease = IF(state = 'failed' OR {lapsed}, :token, lease),"
            f" owned = IF(lease <=> :token, 1, owned),"
            f" changed_at = IF(lease <=> :token, :now, changed_at), opened_at = IF(lease <=> :token, :now, opened_at),"
            f" due_at = IF(lease <=> :token, :due_at, due_at), body = IF(lease <=> :token, :body, body),"
            f" receivers = IF(lease <=> :token, :receivers, receivers), state = IF(lease <=> :token, 'due', state)"
        )
        self.accepted: str | None = self.claimed
        # What is done stays done; the state goes last, since the others go by it.
        same = f"VALUES(state) = 'done' AND {receipts}.attempts = VALUES(attempts)"
        kept = f"{receipts}.state = 'done' AND NOT ({same})"
        new = ", ".join(
            f"{column} = IF({kept}, {receipts}.{column}, VALUES({column}))" for column in reversed(_RECEIPT_NEW)
        )
        # A transaction sees what was there when it began, unless it asks for what is there now.
        self.mark_now: str = f"{self.mark} FOR UPDATE"
        self.record: str = (
            f"INSERT INTO {receipts} ({_RECEIPT}) VALUES ({_RECEIPT_VALUES}) ON DUPLICATE KEY UPDATE {new}"
        )
        self.record_held: str = f"{_held_receipt(names)}{self.locking} ON DUPLICATE KEY UPDATE {new}"
        self.turn: str = (
            f"INSERT INTO {marks} ({_MARK}) VALUES (:endpoint, :receiver, :line, :id, NULL, :token, :until)"
            f" ON DUPLICATE KEY UPDATE token = IF((latest_at IS NULL OR latest_at <= :at)"
            f" AND (token IS NULL OR token = :token OR held_until < :now), :token, token),"
            f" delivery_id = IF(token <=> :token, :id, delivery_id),"
            f" held_until = IF(token <=> :token, :until, held_until)"
        )
        self.overtake: str = (
            f"INSERT INTO {marks} ({_MARK}) VALUES (:endpoint, :receiver, :line, :id, :at, NULL, NULL)"
            f" ON DUPLICATE KEY UPDATE delivery_id = IF(latest_at IS NULL OR latest_at <= :at, :id, delivery_id),"
            f" latest_at = IF(latest_at IS NULL OR latest_at <= :at, :at, latest_at)"
        )
