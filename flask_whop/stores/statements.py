"""The statements of the stores in databases, with named parameters.

They are written once for SQLite and PostgreSQL, whose upserts read alike, and differ for
MySQL and MariaDB where those have no words for it.
"""

from __future__ import annotations

from typing import Final

_STORED = (
    "endpoint, id, event_type, account_id, state, owned, attempts, received_at, opened_at, changed_at,"
    " due_at, signed_at, secret_index"
)
_ARRIVED = (
    "endpoint, id, event_type, account_id, resource, occurred_at, signed_at, secret_index, body,"
    " received_at, opened_at, changed_at"
)
_ARRIVED_VALUES = (
    ":endpoint, :id, :event_type, :account_id, :resource, :occurred_at, :signed_at, :secret_index, :body,"
    " :now, :now, :now"
)
_RECEIPT = "endpoint, delivery_id, receiver, state, attempts, first_at, last_at, due_at, error"
_RECEIPT_VALUES = ":endpoint, :id, :receiver, :state, :attempts, :first_at, :last_at, :due_at, :error"
_KEY = "endpoint = :endpoint AND id = :id"
PRUNED_AT_ONCE: Final = 500
"""How many deliveries are deleted in one transaction, so that nobody waits for long."""


class Statements:
    """The statements of SQLite and PostgreSQL, for tables with a prefix."""

    def __init__(self, prefix: str) -> None:
        deliveries, receipts = f"{prefix}deliveries", f"{prefix}receipts"
        # A claim is granted where nobody holds the delivery and its retry is not ours already.
        claimable = (
            f"{deliveries}.state IN ('failed', 'done', 'dead')"
            f" OR ({deliveries}.state = 'running' AND {deliveries}.lease_until < :now)"
        )
        self.claim: str = (
            f"INSERT INTO {deliveries} ({_ARRIVED}, state, owned, attempts, lease, lease_until)"
            f" VALUES ({_ARRIVED_VALUES}, 'running', 0, 1, :token, :until)"
            f" ON CONFLICT (endpoint, id) DO UPDATE SET state = 'running', owned = 0, lease = :token,"
            f" lease_until = :until, attempts = {deliveries}.attempts + 1, changed_at = :now, due_at = NULL,"
            f" body = :body WHERE {claimable} RETURNING attempts"
        )
        self.accept: str = (
            f"INSERT INTO {deliveries} ({_ARRIVED}, state, owned, attempts, due_at, lease)"
            f" VALUES ({_ARRIVED_VALUES}, 'due', 1, 0, :due_at, :token)"
            f" ON CONFLICT (endpoint, id) DO UPDATE SET state = 'due', owned = 1, due_at = :due_at,"
            f" opened_at = :now, changed_at = :now, body = :body, lease = :token"
            f" WHERE {deliveries}.state = 'failed'"
            f" OR ({deliveries}.state = 'running' AND {deliveries}.lease_until < :now) RETURNING state"
        )
        # Where an upsert cannot say what it did, the token that it left does.
        self.claimed: str | None = None
        self.accepted: str | None = None
        self.standing: str = f"SELECT state, owned, attempts, lease FROM {deliveries} WHERE {_KEY}"
        self.take: str = (
            f"UPDATE {deliveries} SET opened_at = CASE WHEN owned = 1 THEN opened_at ELSE :now END, owned = 1,"
            f" state = 'running', lease = :token, lease_until = :until,"
            f" attempts = attempts + 1, changed_at = :now WHERE {_KEY} AND body IS NOT NULL"
            f" AND ((state = 'due' AND due_at <= :latest) OR (state = 'running' AND lease_until < :now))"
        )
        self.due: str = (
            f"SELECT endpoint, id FROM {deliveries} WHERE endpoint = :endpoint"
            f" AND ((state = 'due' AND due_at <= :now) OR (state = 'running' AND lease_until < :now))"
            f" ORDER BY COALESCE(due_at, 0) LIMIT :limit"
        )
        self.renew: str = (
            f"UPDATE {deliveries} SET lease_until = :until WHERE {_KEY} AND lease = :token AND state = 'running'"
        )
        self.record: str = (
            f"INSERT INTO {receipts} ({_RECEIPT}) VALUES ({_RECEIPT_VALUES})"
            f" ON CONFLICT (endpoint, delivery_id, receiver) DO UPDATE SET state = :state, attempts = :attempts,"
            f" last_at = :last_at, due_at = :due_at, error = :error"
        )
        settled = f"UPDATE {deliveries} SET state = :state, due_at = :due_at, changed_at = :now, lease = NULL"
        held = f" WHERE {_KEY} AND lease = :token"
        self.settle: str = settled + held
        self.settle_without_body: str = settled + ", body = NULL" + held
        self.replay: str = (
            f"UPDATE {deliveries} SET state = 'due', owned = 1, due_at = :now, opened_at = :now, changed_at = :now"
            f" WHERE {_KEY} AND state IN ('failed', 'done', 'dead', 'due') AND body IS NOT NULL"
        )
        self.call_again: str = (
            f"UPDATE {receipts} SET state = 'failed', due_at = :now WHERE endpoint = :endpoint AND delivery_id = :id"
            f" AND state IN ('failed', 'dead')"
        )
        self.newer: str = (
            f"SELECT 1 FROM {deliveries} WHERE endpoint = :endpoint AND resource = :resource"
            f" AND occurred_at > :occurred_at AND state = 'done' AND id <> :id LIMIT 1"
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
            f"SELECT id FROM {deliveries} WHERE endpoint = :endpoint AND received_at < :before"
            f" AND changed_at < :before AND state IN ('failed', 'done', 'dead') LIMIT {PRUNED_AT_ONCE}"
        )
        self.forget_receipts: str = f"DELETE FROM {receipts} WHERE endpoint = :endpoint AND delivery_id = :id"
        self.forget: str = f"DELETE FROM {deliveries} WHERE {_KEY}"


class MySQLStatements(Statements):
    """The statements of MySQL and MariaDB, whose upsert knows no condition and returns nothing.

    It assigns from left to right, so that the token goes first: what follows goes by
    whether it was taken.
    """

    def __init__(self, prefix: str) -> None:
        super().__init__(prefix)
        deliveries, receipts = f"{prefix}deliveries", f"{prefix}receipts"
        lapsed = "(state = 'running' AND lease_until < :now)"
        self.claim: str = (
            f"INSERT INTO {deliveries} ({_ARRIVED}, state, owned, attempts, lease, lease_until)"
            f" VALUES ({_ARRIVED_VALUES}, 'running', 0, 1, :token, :until) ON DUPLICATE KEY UPDATE"
            f" lease = IF(state IN ('failed', 'done', 'dead') OR {lapsed}, :token, lease),"
            f" attempts = attempts + IF(lease <=> :token, 1, 0), owned = IF(lease <=> :token, 0, owned),"
            f" changed_at = IF(lease <=> :token, :now, changed_at), due_at = IF(lease <=> :token, NULL, due_at),"
            f" body = IF(lease <=> :token, :body, body), lease_until = IF(lease <=> :token, :until, lease_until),"
            f" state = IF(lease <=> :token, 'running', state)"
        )
        self.claimed: str | None = f"SELECT attempts FROM {deliveries} WHERE {_KEY} AND lease = :token"
        self.accept: str = (
            f"INSERT INTO {deliveries} ({_ARRIVED}, state, owned, attempts, due_at, lease)"
            f" VALUES ({_ARRIVED_VALUES}, 'due', 1, 0, :due_at, :token) ON DUPLICATE KEY UPDATE"
            f" lease = IF(state = 'failed' OR {lapsed}, :token, lease), owned = IF(lease <=> :token, 1, owned),"
            f" changed_at = IF(lease <=> :token, :now, changed_at), opened_at = IF(lease <=> :token, :now, opened_at),"
            f" due_at = IF(lease <=> :token, :due_at, due_at), body = IF(lease <=> :token, :body, body),"
            f" state = IF(lease <=> :token, 'due', state)"
        )
        self.accepted: str | None = self.claimed
        self.record: str = (
            f"INSERT INTO {receipts} ({_RECEIPT}) VALUES ({_RECEIPT_VALUES})"
            f" ON DUPLICATE KEY UPDATE state = :state, attempts = :attempts, last_at = :last_at, due_at = :due_at,"
            f" error = :error"
        )
